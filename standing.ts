/**
 * What is known of actors, kept in memory for looks that must answer at once: evidence folded
 * per domain, who registered whom, memories, and judged records. Loaded when first asked for.
 */
import {
  Evidence,
  type Figures,
  isLocalActor,
  noFigures,
  type Remembered,
  userOfActor,
} from "./actors.ts";
import type { Clock } from "./engine/types.ts";
import type { HotRoom } from "./engine/hot.ts";
import type { Engine } from "./engine.ts";
import { SyncError } from "./errors.ts";
import { STANDING_ACTORS_MAX, STANDING_FRESH_MS, STANDING_RECORDS_MAX } from "./limits.ts";
import { type ActorOwner, type ActorsPort, NotLoaded } from "./sight/actors.ts";
import type { Store } from "./store.ts";
import { findActor, findRecord } from "./store/actors.ts";
import { findObservations, findResets } from "./store/evidence.ts";
import { recallAll } from "./store/memories.ts";
import { findUser } from "./store/members.ts";
import type { JsonObject, LogRecord, Millis } from "./types.ts";

/** Things by name, as fresh as they must be; the oldest go when there are too many. */
class Shelf<T> {
  readonly #kept = new Map<string, { value: T; at: Millis; isStale: boolean }>();
  readonly #loading = new Map<string, Promise<void>>();
  /** What has changed while it was being loaded. */
  readonly #changed = new Set<string>();

  constructor(
    private readonly clock: Pick<Clock, "now">,
    private readonly most: number,
    /** How long what was loaded holds; other processes may change it. */
    private readonly freshMs: Millis,
    private readonly read: (name: string, known: T | undefined) => Promise<T>,
  ) {}

  /** What is kept, stale or not. */
  peek(name: string): T | undefined {
    return this.#kept.get(name)?.value;
  }

  /** Is it here, and as fresh as it must be? */
  isFresh(name: string): boolean {
    const kept = this.#kept.get(name);
    return kept !== undefined && !kept.isStale && this.clock.now() - kept.at < this.freshMs;
  }

  /** It has changed: it is loaded again before somebody relies on it. */
  touch(name: string): void {
    const kept = this.#kept.get(name);
    if (kept) kept.isStale = true;
    if (this.#loading.has(name)) this.#changed.add(name);
  }

  /** Loads it once for all who ask meanwhile. */
  load(name: string): Promise<void> {
    let loading = this.#loading.get(name);
    if (!loading) {
      loading = this.fetch(name).finally(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return loading;
  }

  private async fetch(name: string): Promise<void> {
    const at = this.clock.now();
    this.#changed.delete(name);
    const value = await this.read(name, this.#kept.get(name)?.value);
    this.#kept.delete(name);
    // What changed while it was read is read again.
    this.#kept.set(name, { value, at, isStale: this.#changed.delete(name) });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.most) break;
      this.#kept.delete(oldest);
    }
  }
}

const EMPTY: ReadonlyMap<string, Remembered> = new Map();

/** What is known of actors. */
export class Standing implements ActorsPort {
  readonly #evidence: Shelf<Evidence>;
  readonly #owners: Shelf<ActorOwner>;
  readonly #memories: Shelf<ReadonlyMap<string, Remembered>>;
  readonly #records: Shelf<LogRecord | undefined>;
  #isStrict = false;

  constructor(private readonly engine: Engine) {
    const { store, clock } = engine;
    const freshMs = store.isShared ? STANDING_FRESH_MS : Infinity;
    this.#evidence = new Shelf(
      clock,
      STANDING_ACTORS_MAX,
      freshMs,
      (did, known) => loadEvidence(store, did, known),
    );
    this.#owners = new Shelf(clock, STANDING_ACTORS_MAX, freshMs, (did) => loadOwner(store, did));
    this.#memories = new Shelf(
      clock,
      STANDING_ACTORS_MAX,
      freshMs,
      (did) => recallAll(store, did),
    );
    this.#records = new Shelf(clock, STANDING_RECORDS_MAX, Infinity, (place) => {
      const [room, seq] = place.split(" ");
      return findRecord(store, room!, Number(seq));
    });
    engine.onChange((hot, { records }) => this.note(hot, records));
  }

  strictly<T>(run: () => T): T {
    const before = this.#isStrict;
    this.#isStrict = true;
    try {
      return run();
    } finally {
      this.#isStrict = before;
    }
  }

  private ask<T>(shelf: Shelf<T>, name: string): T | undefined {
    if (shelf.isFresh(name)) return shelf.peek(name);
    if (this.#isStrict) throw new NotLoaded(() => shelf.load(name));
    void this.loadBehind(shelf, name);
    return shelf.peek(name);
  }

  /** Loads what a look went on without; who watches is told. */
  private async loadBehind<T>(shelf: Shelf<T>, name: string): Promise<void> {
    try {
      await shelf.load(name);
    } catch (error) {
      // The next look asks again.
      if (!(error instanceof SyncError)) throw error;
      return;
    }
    this.tell(name);
  }

  private tell(did: string): void {
    if (!this.engine.isClosing) this.engine.touchAll([`trust:${did}`, `memory:${did}`]);
  }

  figures(did: string, domain: string, at: Millis): Figures {
    return this.ask(this.#evidence, did)?.figures(domain, at) ?? noFigures(domain);
  }

  profile(did: string, at: Millis): readonly Figures[] {
    const evidence = this.ask(this.#evidence, did);
    return evidence?.domains(at).map((domain) => evidence.figures(domain, at)) ?? [];
  }

  memory(did: string): ReadonlyMap<string, Remembered> {
    return isLocalActor(did) ? EMPTY : this.ask(this.#memories, did) ?? EMPTY;
  }

  owner(did: string): ActorOwner {
    return isLocalActor(did)
      ? { isEnded: false }
      : this.ask(this.#owners, did) ?? { isEnded: false };
  }

  record(room: string, seq: number): LogRecord | undefined {
    return this.ask(this.#records, `${room} ${seq}`);
  }

  /** All evidence about an actor, loaded. */
  async evidenceOf(did: string): Promise<Evidence> {
    if (!this.#evidence.isFresh(did)) await this.#evidence.load(did);
    return this.#evidence.peek(did)!;
  }

  /** How verdicts name a judge: by the user behind it, or by itself. */
  async judgeKey(did: string): Promise<string> {
    if (isLocalActor(did)) return did;
    if (!this.#owners.isFresh(did)) await this.#owners.load(did);
    const user = this.#owners.peek(did)?.user;
    return user === undefined ? did : `user:${user}`;
  }

  /** Something of an actor has changed: what is kept of it is loaded again. */
  changed(did: string): void {
    for (const shelf of [this.#evidence, this.#owners, this.#memories]) shelf.touch(did);
    this.tell(did);
  }

  private note(_hot: HotRoom, records: readonly LogRecord[]): void {
    for (const record of records) {
      if (record.kind !== "verdict") continue;
      const { counted, actor } = (record.result ?? {}) as JsonObject;
      if (counted === true && typeof actor === "string") this.changed(actor);
    }
  }
}

/** Verdicts that are read in one piece. */
const EVIDENCE_STEP = 1_000;

async function loadEvidence(
  store: Store,
  did: string,
  known: Evidence | undefined,
): Promise<Evidence> {
  const evidence = known ?? new Evidence();
  for (const reset of await findResets(store, did)) evidence.reset(reset);
  for (;;) {
    const page = await findObservations(store, did, evidence.lastId, EVIDENCE_STEP);
    for (const observation of page) evidence.add(observation);
    if (page.length < EVIDENCE_STEP) return evidence;
    // Much evidence must not hold up everybody else.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function loadOwner(store: Store, did: string): Promise<ActorOwner> {
  const row = await findActor(store, did);
  const username = userOfActor(did);
  const user = username === undefined
    ? row?.owner ?? undefined
    : (await findUser(store, username))?.id;
  return { ...(user === undefined ? {} : { user }), isEnded: (row?.endedAt ?? null) !== null };
}
