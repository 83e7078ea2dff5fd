/**
 * What the users of a soak do, one deed at a time: invocations over many rooms, reads, messages
 * and entries that expire, waits that are woken, and rooms that come and go.
 */
import type { RequestSpec } from "../client.ts";
import type { Caller } from "./caller.ts";
import { type Home, invocation, openHome } from "./rooms.ts";
import type { Tally } from "./tally.ts";

const KEYS = 20;
const TIMERS = 10;
const BELLS = 16;
const MESSAGE_MS = 30_000;
const WAKE_AFTER_MS = 500;
const WAKE_TIMEOUT_MS = 30_000;
/** The share of deeds that meets the first room: somewhere it is always busy. */
const HOT_SHARE = 0.15;

/** Each deed, and how often it is done among a thousand. */
const MIX = {
  invoke: 510,
  put: 80,
  read: 140,
  changes: 110,
  send: 60,
  arm: 40,
  wake: 50,
  visit: 10,
} as const;

type Deed = keyof typeof MIX;

/** How a soak's users behave. */
export interface Habits {
  /** For how long half of the visitors leave their rooms behind, in milliseconds. */
  readonly lingerMs: number;
  /** The share of increments that carries an Idempotency-Key. */
  readonly keyed: number;
}

interface Left {
  readonly id: string;
  readonly admin: string;
  readonly until: number;
}

/** Everybody in the rooms of a soak. */
export class Deeds {
  readonly #left: Left[] = [];
  #bells = 0;
  #keys = 0;
  /** Rooms made and deleted besides those that stay. */
  readonly visits = { made: 0, deleted: 0 };

  constructor(
    private readonly caller: Caller,
    private readonly tally: Tally,
    private readonly homes: readonly Home[],
    private readonly chance: () => number,
    private readonly habits: Habits,
  ) {}

  /** Does what comes next; `dueAt` is when it was due (milliseconds). Failures are counted. */
  async next(dueAt = performance.now()): Promise<void> {
    const deed = this.draw();
    try {
      await this.#deeds[deed](this.someHome(), dueAt);
    } catch (error) {
      this.tally.failed(deed, error instanceof Error ? error.message.slice(0, 200) : `${error}`);
    }
  }

  /** Deletes the rooms that were left behind, all of them or those whose time has come. */
  async tidy(all = false): Promise<void> {
    while (this.#left.length > 0 && (all || this.#left[0]!.until <= performance.now())) {
      const { id, admin } = this.#left.shift()!;
      await this.caller.timed("delete", { method: "DELETE", path: `/rooms/${id}`, token: admin });
      this.visits.deleted++;
    }
  }

  private draw(): Deed {
    let at = this.chance() * 1000;
    for (const [deed, weight] of Object.entries(MIX)) {
      if ((at -= weight) < 0) return deed as Deed;
    }
    return "invoke";
  }

  private someHome(): Home {
    if (this.chance() < HOT_SHARE) return this.homes[0]!;
    return this.homes[Math.floor(this.chance() * this.homes.length)]!;
  }

  readonly #deeds: Readonly<Record<Deed, (home: Home, dueAt: number) => Promise<void>>> = {
    invoke: async (home, dueAt) => {
      const isKeyed = this.chance() < this.habits.keyed;
      const spec = invocation(home.id, home.alice, "add", {});
      home.unknown++;
      await this.write(
        home,
        "invoke",
        isKeyed ? { ...spec, key: `k${this.#keys++}` } : spec,
        dueAt,
      );
      home.unknown--;
      home.added++;
    },
    put: (home, dueAt) => {
      const n = Math.floor(this.chance() * KEYS);
      return this.write(home, "invoke", invocation(home.id, home.bob, "put", { n }), dueAt);
    },
    read: (home, dueAt) => this.read(home, "context", "", dueAt),
    changes: (home, dueAt) => this.read(home, "context since", `since=${home.seq}`, dueAt),
    send: (home, dueAt) => {
      const params = { body: "a message", timer: { ms: MESSAGE_MS, effect: "delete" } };
      return this.write(
        home,
        "send",
        invocation(home.id, home.bob, "_send_message", params),
        dueAt,
      );
    },
    arm: (home, dueAt) => {
      const n = Math.floor(this.chance() * TIMERS);
      return this.write(home, "timer", invocation(home.id, home.alice, "arm", { n }), dueAt);
    },
    wake: (home, dueAt) => this.wake(home, dueAt),
    visit: (_home, dueAt) => this.visit(dueAt),
  };

  private async write(home: Home, verb: string, spec: RequestSpec, dueAt: number): Promise<void> {
    const { seq } = await this.caller.timed<{ seq: number }>(verb, spec, dueAt);
    home.seq = Math.max(home.seq, seq);
  }

  private async read(home: Home, verb: string, query: string, dueAt: number): Promise<void> {
    const path = `/rooms/${home.id}/context?${query}`;
    await this.caller.timed(verb, { method: "GET", path, token: home.bob }, dueAt);
  }

  /** Bob sleeps until alice rings: how long after her reply his comes. */
  private async wake(home: Home, dueAt: number): Promise<void> {
    const n = ++this.#bells, slot = n % BELLS;
    const condition = `state._shared["bell-${slot}"].value >= ${n}`;
    const woken = this.caller.ask<{ triggered: boolean }>({
      method: "GET",
      path: `/rooms/${home.id}/wait?only=agents&timeout=${WAKE_TIMEOUT_MS}&condition=${
        encodeURIComponent(condition)
      }`,
      token: home.bob,
    }).then(({ triggered }) => ({ triggered, at: performance.now() }));
    // Kept from being unhandled, should the ring fail first; it is awaited below all the same.
    woken.catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, WAKE_AFTER_MS));
    const spec = invocation(home.id, home.alice, "ring", { slot, n });
    await this.write(home, "invoke", spec, dueAt + WAKE_AFTER_MS);
    const rung = performance.now();
    const { triggered, at } = await woken;
    if (triggered) this.tally.took("wake", Math.max(0, at - rung));
    else this.tally.failed("wake", "the wait was not answered");
  }

  /** A room of a short life: made, joined, used, left behind for a while or deleted. */
  private async visit(dueAt: number): Promise<void> {
    const id = `visit-${this.visits.made++}`;
    const { token } = await this.caller.timed<{ token: string }>("create", {
      method: "POST",
      path: "/rooms",
      body: { id },
    }, dueAt);
    for (const agent of ["ann", "ben"]) {
      const joined = await this.caller.timed<{ token: string }>("join", {
        method: "POST",
        path: `/rooms/${id}/agents`,
        body: { id: agent },
      });
      const params = { id: `say-${agent}`, writes: [{ key: agent, increment: 1 }] };
      await this.caller.ask(invocation(id, joined.token, "_register_action", params));
      await this.caller.timed("invoke", invocation(id, joined.token, `say-${agent}`, {}));
    }
    const until = performance.now() + (this.chance() < 0.5 ? this.habits.lingerMs : 0);
    if (until > performance.now()) this.#left.push({ id, admin: token, until });
    else {
      await this.caller.timed("delete", { method: "DELETE", path: `/rooms/${id}`, token });
      this.visits.deleted++;
    }
  }
}

/** Makes the rooms that stay. */
export async function openHomes(caller: Caller, rooms: number): Promise<Home[]> {
  const homes: Home[] = [];
  for (let i = 0; i < rooms; i++) homes.push(await openHome(caller, `home-${i}`));
  return homes;
}
