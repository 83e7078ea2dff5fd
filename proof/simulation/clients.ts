/** The clients of a simulated world: each does one thing after another, and repeats what got lost. */
import type { Answer, Condition, Deed } from "./ledger.ts";
import type { Instance } from "./instance.ts";
import type { Random } from "./random.ts";
import type { Ask, Fetched } from "./transport.ts";
import type { World } from "./world.ts";

/** A room as the clients know it. */
export interface RoomRef {
  readonly name: string;
  readonly uid: string;
  readonly admin: string;
  readonly tokens: Readonly<Record<string, string>>;
  /** Messages that somebody was told of. */
  readonly messages: number[];
}

/** How a deed is asked for. */
export interface How {
  readonly isKeyed: boolean;
  /** The token to use, when it is not the agent's first. */
  readonly token?: string;
}

/** May the service have acted? A 503 that does not say so says that it has not. */
function isUnknown({ status, text }: Answer): boolean {
  return status === 503 && text.includes("outcome_unknown");
}

const TRIES = 6;

/** A client. */
export class Client {
  #count = 0;

  constructor(readonly name: string, readonly world: World, readonly random: Random) {}

  /** A name that nobody else uses. */
  fresh(): string {
    return `${this.name}.${this.#count++}`;
  }

  /** Any instance. */
  anyInstance(): Instance {
    return this.random.pick(this.world.instances);
  }

  /** One request; the client may go away in the middle of it. */
  async ask(ask: Ask, to = this.anyInstance()): Promise<Fetched> {
    const { faults } = this.world;
    const isLeaving = !faults.isOver && this.random.chance(faults.climate.vanish);
    const leaving = isLeaving ? { vanishAfter: this.random.skewed(0, 500) } : {};
    return await this.world.request(to, { ...ask, ...leaving });
  }

  /** One request, made again until an instance takes it and answers. */
  async insist(ask: Ask, to?: Instance): Promise<Answer> {
    for (let i = 0; i < 40; i++) {
      const fetched = await this.world.request(to ?? this.anyInstance(), ask);
      if (typeof fetched === "object" && fetched.status !== 503) return fetched;
      await this.world.scheduler.sleep(200);
    }
    throw new Error(`${ask.method} ${ask.path} has no answer`);
  }

  /** Invokes an action, and answers what came of it: undefined when nobody can tell. */
  async deed(
    room: RoomRef,
    agent: string,
    action: string,
    params: Readonly<Record<string, unknown>>,
    { isKeyed, token = room.tokens[agent] ?? room.admin }: How,
  ): Promise<Answer | undefined> {
    const { ledger, scheduler, faults } = this.world;
    const id = this.fresh();
    const full = action === "_send_message"
      ? { ...params, body: id }
      : action.startsWith("_")
      ? params
      : { ...params, op: id };
    const deed: Deed = {
      id,
      uid: room.uid,
      agent,
      action,
      params: full,
      isKeyed,
      floor: ledger.floor(room.uid),
      sends: 0,
      isUncertain: false,
      answers: [],
      ceiling: 0,
    };
    ledger.deeds.push(deed);
    const key = isKeyed ? { key: `key-${id}` } : {};
    const body = { params: full };
    const ask = {
      method: "POST",
      path: `/rooms/${room.name}/actions/${action}/invoke`,
      token,
      body,
      ...key,
    };
    if (isKeyed && this.random.chance(faults.climate.duplicate)) {
      scheduler.after(
        this.random.skewed(0, 2_000),
        "",
        "duplicate",
        () => void this.attempt(deed, ask),
      );
    }
    for (let tries = 0; tries < TRIES; tries++) {
      const fetched = await this.attempt(deed, ask);
      if (typeof fetched === "object") {
        if (fetched.status !== 503) return fetched;
      }
      if (fetched !== "unsent" && !isKeyed) return undefined;
      await scheduler.sleep(this.random.skewed(20, 1_500));
    }
    return undefined;
  }

  private async attempt(deed: Deed, ask: Ask): Promise<Fetched> {
    const { ledger } = this.world;
    deed.sends++;
    const fetched = await this.ask(ask);
    deed.ceiling = ledger.head(deed.uid);
    if (fetched === "unsent") deed.sends--;
    else if (fetched === "lost" || isUnknown(fetched)) deed.isUncertain = true;
    else if (fetched.status === 503) deed.sends--;
    else {
      deed.answers.push(fetched);
      if (fetched.status < 300) ledger.raise(deed.uid, fetched.seq);
      ledger.counts[fetched.status < 300 ? "answered" : "refused"]++;
      if (fetched.isReplay) ledger.counts.replayed++;
    }
    return fetched;
  }

  /** Looks at the shared state, or at what has changed in it since a record. */
  async look(
    room: RoomRef,
    agent: string,
    to?: Instance,
    since?: number,
  ): Promise<Answer | undefined> {
    const { ledger } = this.world;
    const floor = ledger.floor(room.uid);
    const delta = since === undefined ? "" : `&since=${since}`;
    const fetched = await this.ask({
      method: "GET",
      path: `/rooms/${room.name}/context?only=state&shape=plain${delta}`,
      token: room.tokens[agent] ?? room.admin,
    }, to);
    if (typeof fetched !== "object" || fetched.status === 503) return undefined;
    if (fetched.status === 200) this.keepLook(room, agent, "context", floor, fetched, { since });
    else ledger.blame(`reading ${room.name} as ${agent} answered ${fetched.text.slice(0, 200)}`);
    return fetched;
  }

  private keepLook(
    room: RoomRef,
    agent: string,
    what: string,
    floor: number,
    answer: Answer,
    { held, since }: { readonly held?: Condition | undefined; readonly since?: number | undefined },
  ): void {
    const { ledger } = this.world;
    const { state, removed = [], reset } = JSON.parse(answer.text) as {
      state: Record<string, Record<string, unknown>>;
      removed?: { scope?: string; key?: string }[];
      reset?: true;
    };
    const gone = removed.flatMap(({ scope, key }) => scope === "_shared" ? [key!] : []);
    const seen = Object.keys(state).filter((scope) => scope !== "_shared" && scope !== "self");
    if (agent !== "admin" && seen.length > 0) {
      ledger.blame(`${agent} was shown ${seen} in ${room.name}`);
    }
    ledger.raise(room.uid, answer.seq);
    ledger.counts.looks++;
    ledger.looks.push({
      uid: room.uid,
      what,
      agent,
      floor,
      ceiling: ledger.head(room.uid),
      seq: answer.seq,
      shared: state["_shared"] ?? {},
      ...(held ? { held } : {}),
      ...(since === undefined || reset ? {} : { change: { since, gone } }),
    });
  }

  /** Waits for a condition, or for a change; answers whether it came. */
  async wait(
    room: RoomRef,
    agent: string,
    what: { readonly condition: Condition } | { readonly since: number },
    timeout: number,
    to = this.anyInstance(),
  ): Promise<boolean | undefined> {
    const { ledger, scheduler } = this.world;
    const floor = ledger.floor(room.uid), startedAt = scheduler.now;
    const condition = "condition" in what ? what.condition : undefined;
    const asked = "condition" in what
      ? `condition=${encodeURIComponent(what.condition.text)}`
      : `since=${what.since}`;
    const fetched = await this.ask({
      method: "GET",
      path: `/rooms/${room.name}/wait?${asked}&timeout=${timeout}&include=state&shape=plain`,
      token: room.tokens[agent] ?? room.admin,
      patience: timeout + 15_000,
    }, to);
    if (typeof fetched !== "object" || fetched.status === 503) return undefined;
    if (fetched.status !== 200) {
      ledger.blame(`waiting in ${room.name} as ${agent} answered ${fetched.text.slice(0, 200)}`);
      return undefined;
    }
    ledger.counts.waits++;
    const body = JSON.parse(fetched.text) as { triggered: boolean; seq: number; closing?: true };
    if ("since" in what) ledger.raise(room.uid, fetched.seq);
    else {
      const held = body.triggered ? condition : undefined;
      this.keepLook(room, agent, `wait ${asked}`, floor, fetched, { held });
    }
    if ("since" in what && body.triggered && body.seq <= what.since) {
      ledger.blame(`a wait since ${what.since} was answered at ${body.seq}`);
    }
    const isEarly = fetched.at - startedAt < timeout - 100 && to.troubledAt < startedAt;
    if (!body.triggered && !body.closing && isEarly) {
      ledger.blame(
        `a wait of ${timeout} ms in ${room.name} ran out after ${fetched.at - startedAt}`,
      );
    }
    if (!body.closing) {
      ledger.waited.push({
        uid: room.uid,
        condition,
        since: "since" in what ? what.since : undefined,
        startedAt,
        endedAt: fetched.at,
        troubledAt: to.troubledAt,
      });
    }
    return body.triggered;
  }
}
