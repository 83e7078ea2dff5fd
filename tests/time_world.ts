/** A room under a clock set by hand, as the tests of time, waits and presence meet it. */
import assert from "node:assert/strict";
import {
  makeRoom,
  ManualClock,
  mustVerify,
  type Reply,
  startService,
  type TestRoom,
  type TestService,
  turns,
} from "./harness.ts";

/** A wait under way. */
export interface OpenWait {
  /** Its reply, once it has one. */
  readonly reply: () => Reply | undefined;
  readonly done: Promise<Reply>;
  abort(): void;
}

/** A service with one room in it. */
export class World {
  private constructor(
    readonly clock: ManualClock,
    public on: TestService,
    readonly room: TestRoom,
  ) {}

  /** Starts a service and makes a room with these agents. */
  static async start(agents: readonly string[] = ["alice", "bob"]): Promise<World> {
    const clock = new ManualClock();
    const on = await startService({ clock });
    return new World(clock, on, await makeRoom(on, agents));
  }

  /** Runs a test in a world of its own, and verifies the log at its end. */
  static async run(
    test: (world: World) => Promise<void>,
    agents?: readonly string[],
  ): Promise<void> {
    const world = await World.start(agents);
    try {
      await test(world);
      await world.verify();
    } finally {
      await world.on.close();
    }
  }

  /** The token of an agent, of `admin`, or of `view`. */
  token(who: string): string {
    const { admin, view, agents } = this.room;
    return who === "admin" ? admin : who === "view" ? view : agents[who]!;
  }

  /** One call below the room's path. */
  async call(method: string, path: string, who = "admin", body?: unknown): Promise<Reply> {
    return await this.on.call(method, `/rooms/${this.room.id}${path}`, {
      token: this.token(who),
      ...(body === undefined ? {} : { body }),
    });
  }

  /** Invokes, whatever comes of it. */
  async invoke(
    who: string,
    action: string,
    params: unknown = {},
    rest: Record<string, unknown> = {},
  ): Promise<Reply> {
    return await this.call("POST", `/actions/${action}/invoke`, who, { params, ...rest });
  }

  /** Invokes, which must succeed. */
  async must(
    who: string,
    action: string,
    params: unknown = {},
    rest: Record<string, unknown> = {},
  ): Promise<Reply> {
    const reply = await this.invoke(who, action, params, rest);
    assert.ok(reply.status < 300, `${action}: ${reply.text}`);
    return reply;
  }

  /** Registers an action. */
  async register(who: string, id: string, rest: Record<string, unknown>): Promise<Reply> {
    return await this.must(who, "_register_action", { id, writes: [], ...rest });
  }

  /** The context, with its parameters as a query. */
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  async context(who: string, query = "peek=true"): Promise<any> {
    const reply = await this.call("GET", `/context?${query}`, who);
    assert.equal(reply.status, 200, reply.text);
    return reply.body;
  }

  /** What an expression comes to for a caller; its error's code when it fails. */
  async eval(who: string, expr: string): Promise<unknown> {
    const reply = await this.call("POST", "/eval", who, { expr });
    return reply.status === 200 ? reply.body.value : reply.body.error;
  }

  /** Begins a wait and lets it fall asleep. */
  async wait(who: string, query: Record<string, unknown>): Promise<OpenWait> {
    const stop = new AbortController();
    let reply: Reply | undefined;
    const done = this.on.call("POST", `/rooms/${this.room.id}/wait`, {
      token: this.token(who),
      body: { timeout: 55_000, ...query },
      signal: stop.signal,
    });
    void done.then((r) => reply = r, () => undefined);
    await turns(12);
    return { reply: () => reply, done, abort: () => stop.abort() };
  }

  /** The log, oldest first. */
  // deno-lint-ignore no-explicit-any -- records are read by many shapes
  async log(query = ""): Promise<any[]> {
    const reply = await this.call("GET", `/log?limit=1000${query}`);
    assert.equal(reply.status, 200, reply.text);
    return reply.body.records;
  }

  /** Goes on by `ms`. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await turns(12);
  }

  /** Closes the service, lets time pass while it is away, and opens it again. */
  async sleepThrough(ms: number): Promise<void> {
    const closing = this.on;
    const reopened = closing.restart.bind(closing);
    // The clock goes on between closing and opening.
    const service = closing.service;
    const close = service.close.bind(service);
    Object.assign(service, {
      close: async () => {
        await close();
        await this.clock.advance(ms);
      },
    });
    this.on = await reopened();
  }

  /** The log must be whole and fold to the live state. */
  async verify(): Promise<void> {
    await mustVerify(this.on, this.room);
  }
}
