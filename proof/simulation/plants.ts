/** Faults put into the service on purpose: a net that lets one of them through is no net. */
import { CLASSES } from "./product.ts";

/** Puts a fault in; the answer takes it out again. */
type Plant = () => () => void;

/** Replaces a method, private ones too; the new one gets the old one. */
function replace<Args extends unknown[], R>(
  owner: { readonly prototype: object },
  name: string,
  by: (old: (...args: Args) => R, self: object) => (...args: Args) => R,
): () => void {
  const old = Reflect.get(owner.prototype, name) as ((...args: Args) => R) | undefined;
  if (typeof old !== "function") throw new Error(`there is no method ${name} to put a fault into`);
  Reflect.set(owner.prototype, name, function (this: object, ...args: Args): R {
    return by((...given) => Reflect.apply(old, this, given), this)(...args);
  });
  return () => void Reflect.set(owner.prototype, name, old);
}

interface Lost {
  drop(hot: object, reason: Error): void;
  readonly events: { onLost(hot: object): Promise<void> };
}

interface Connection {
  readonly client: { reconnect(): Promise<void> };
  applyPragmas(): Promise<void>;
}

interface Behind {
  readonly pending: readonly object[];
  readonly room: { readonly head: number };
  headElsewhere: number;
}

interface Waiting {
  readonly engine: { readonly clock: { now(): number } };
}

interface Taken {
  readonly pending: { readonly applied: object }[];
}

interface Queue {
  readonly events: { onDurable(hot: object, pending: readonly object[]): void };
}

/** The faults, by what they do. */
export const PLANTS: Readonly<Record<string, Plant>> = {
  "a write is answered before it is durable": () =>
    replace(CLASSES.HotRoom, "whenDurable", () => () => undefined),
  "an undo is left out when a tail is dropped": () =>
    replace<[number], unknown>(CLASSES.HotRoom, "takeBack", (old, self) => (from) => {
      const { pending } = self as Taken;
      const first = pending[from];
      if (first) pending[from] = { ...first, applied: { ...first.applied, undo: () => undefined } };
      return old(from);
    }),
  "who asked for a dropped tail is not told": () =>
    replace(
      CLASSES.HotRoom,
      "dropTail",
      (_old, self) => () => Reflect.apply(Reflect.get(self, "takeBack"), self, [0]),
    ),
  "what is in doubt counts as not written": () =>
    replace<[readonly { sql: string }[]], Promise<unknown[][]>>(
      CLASSES.Db,
      "batch",
      (old) => (statements) =>
        statements[1]?.sql.includes("RETURNING id") && statements[1].sql.includes("ticket")
          ? Promise.resolve([[], [{ id: "" }]])
          : old(statements),
    ),
  "a lost race counts as won": () =>
    replace<[readonly { uid: string }[]], Promise<Map<string, unknown>>>(
      CLASSES.Store,
      "commit",
      (old) => async (group) => {
        const outcome = await old(group);
        return new Map(group.map(({ uid }) => [uid, outcome.get(uid) ?? true]));
      },
    ),
  "nobody is woken": () => replace(CLASSES.WaitIndex, "affected", () => () => new Set()),
  "keys of repeated requests are forgotten with a room": () =>
    replace<unknown[], Promise<object>>(
      CLASSES.Store,
      "loadRoom",
      (old) => async (...args) => ({ ...await old(...args), idempotent: [] }),
    ),
  "keys of repeated requests are not learnt from others": () =>
    replace<[object, object], void>(
      CLASSES.Follower,
      "take",
      (old) => (hot, news) => old(hot, { ...news, idempotent: [] }),
    ),
  "reads do not look at what others have written": () =>
    replace(CLASSES.Follower, "catchUp", () => () => Promise.resolve()),
  "a record is told before it is durable": () =>
    replace<[{ readonly pending: readonly object[] }], void>(
      CLASSES.Committer,
      "enqueue",
      (old, self) => (hot) => {
        (self as Queue).events.onDurable(hot, hot.pending.slice(-1));
        old(hot);
      },
    ),
  "what is due waits until somebody calls": () =>
    replace(CLASSES.Wheel, "note", () => () => undefined),
  "the end of a token is not noticed": () => replace(CLASSES.Auth, "forget", () => () => undefined),
  // What the simulation has found, put back.
  "a lost race stops the queue when the database is away": () =>
    replace<[object], Promise<void>>(CLASSES.Committer, "lose", (_old, self) => async (hot) => {
      const { drop, events } = self as Lost;
      drop.call(self, hot, new CLASSES.TailDropped());
      await events.onLost(hot);
    }),
  "a connection that is opened anew may not be busy": () =>
    replace<[], Promise<void>>(CLASSES.Db, "renew", (_old, self) => async () => {
      const { client, applyPragmas } = self as Connection;
      await client.reconnect();
      await applyPragmas.call(self);
    }),
  "what others wrote is overlooked while a record is under way": () =>
    replace<[Behind], Promise<void>>(CLASSES.Follower, "catchUp", (old) => async (hot) => {
      await old(hot);
      if (hot.pending.length > 0) hot.headElsewhere = Math.min(hot.headElsewhere, hot.room.head);
    }),
  "a wait's time is told by the room's newest record": () =>
    replace<[{ now: number }, { startedAt: number }, object], () => void>(
      CLASSES.Waits,
      "enter",
      (old, self) => (moment, sleeper, judgement) => {
        const ahead = moment.now - (self as Waiting).engine.clock.now();
        return old(moment, { ...sleeper, startedAt: sleeper.startedAt - ahead }, judgement);
      },
    ),
};
