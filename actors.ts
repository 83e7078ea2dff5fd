/**
 * Actors: DIDs and their kinds, and trust from evidence. Trust is the Wilson lower bound over
 * verdicts whose weight halves every 90 days. Pure: instants come in as arguments.
 */
import type { Json, Millis } from "./types.ts";

/** What a DID is of. It groups lists for people; no rule branches on it. */
export const ACTOR_KINDS = ["user", "agent", "service", "system", "key", "web"] as const;
/** One of these kinds. */
export type ActorKind = typeof ACTOR_KINDS[number];

/** A DID that actors may have. */
export interface Did {
  /** The DID in its one form. */
  readonly did: string;
  readonly kind: ActorKind;
  /** Its last segment without the organisation: a name for people. */
  readonly label: string;
  readonly org?: string;
}

const NAME = "[A-Za-z0-9~][A-Za-z0-9._~%-]{0,255}";
const SYNC = new RegExp(
  `^did:sync:(user|agent|service|system):(${NAME})(?:@([A-Za-z0-9][A-Za-z0-9.-]{0,127}))?$`,
);
const KEY = /^did:key:(z6Mk[1-9A-HJ-NP-Za-km-z]{40,50})$/;
const WEB = /^did:web:([A-Za-z0-9.-]+(?:%3[Aa]\d{1,5})?)((?::[A-Za-z0-9._~%-]+)*)$/;

/** Reads a DID; undefined for anything that is none. `did:sync:system:sa_…` reads as the service's. */
export function parseDid(text: string): Did | undefined {
  if (text.length > 512) return undefined;
  const sync = SYNC.exec(text);
  if (sync) return syncDid(sync[1] as ActorKind, sync[2]!, sync[3]);
  const key = KEY.exec(text);
  if (key) return { did: text, kind: "key", label: key[1]! };
  const web = WEB.exec(text);
  if (!web) return undefined;
  const host = web[1]!.toLowerCase().replace("%3a", "%3A");
  return { did: `did:web:${host}${web[2]!}`, kind: "web", label: decodeHost(host) };
}

function syncDid(kind: ActorKind, name: string, org: string | undefined): Did {
  const isService = kind === "system" && name.startsWith("sa_");
  const read: ActorKind = isService ? "service" : kind;
  const suffix = org === undefined ? "" : `@${org}`;
  return {
    did: `did:sync:${read}:${name}${suffix}`,
    kind: read,
    label: name,
    ...(org === undefined ? {} : { org }),
  };
}

function decodeHost(host: string): string {
  return host.replace("%3A", ":");
}

/** Does an actor belong to one room only? */
export function isLocalActor(did: string): boolean {
  return did.startsWith("did:sync:agent:~");
}

/** The uid of the room that a room-local actor belongs to. */
export function roomOfLocalActor(did: string): string | undefined {
  return /^did:sync:agent:~([^~]+)~/.exec(did)?.[1];
}

/** The actor of a user. */
export function userActor(username: string): string {
  return `did:sync:user:${username}`;
}

/** The name of the user of this server whose actor it is; undefined for any other actor. */
export function userOfActor(did: string): string | undefined {
  return /^did:sync:user:([^@]+)$/.exec(did)?.[1];
}

/** The actor of a service account. */
export function serviceActor(id: string): string {
  return `did:sync:service:${id}`;
}

/** The domain of evidence that names none. */
export const GENERAL_DOMAIN = "general";

/** After this long a verdict weighs half: 90 days. */
export const HALF_LIFE_MS = 90 * 86_400_000;
/** The normal quantile of a two-sided 95 % interval. */
const Z = 1.96;
/** A sum of weights that is as good as none. */
const NOTHING = 1e-100;

/**
 * The Wilson lower bound of `accepted` out of `all`, both sums of weights, to four places; 0
 * without evidence.
 */
export function wilson(accepted: number, all: number): number {
  if (!(all > NOTHING)) return 0;
  const p = Math.min(1, Math.max(0, accepted / all));
  const z2 = Z * Z;
  const spread = Z * Math.sqrt((p * (1 - p)) / all + z2 / (4 * all * all));
  const bound = (p + z2 / (2 * all) - spread) / (1 + z2 / all);
  return Math.round(Math.max(0, bound) * 10_000) / 10_000;
}

/** The weight of a verdict of this age. */
export function weightAt(age: Millis): number {
  return 0.5 ** (Math.max(0, age) / HALF_LIFE_MS);
}

/** A verdict that counts. */
export interface Observation {
  /** Where it stands in the order in which verdicts became durable. */
  readonly id: number;
  readonly domain: string;
  /** The judged record: its room's uid and its seq. */
  readonly subject: string;
  /** The judge's root user, or the judge itself where it has none. */
  readonly judge: string;
  /** The actor that gave it. */
  readonly judgeActor?: string;
  readonly isAccept: boolean;
  readonly at: Millis;
}

/** A marker before which evidence no longer counts; without a domain, in all of them. */
export interface Reset {
  readonly domain: string | null;
  readonly at: Millis;
}

/** What is known of an actor in one domain at one instant. */
export interface Figures {
  readonly domain: string;
  readonly success: number;
  readonly total: number;
  readonly trust: number;
  readonly judges: number;
}

/** Nothing is known. */
export function noFigures(domain: string): Figures {
  return { domain, success: 0, total: 0, trust: 0, judges: 0 };
}

/** Sums of a domain, weighed as of `origin`: they only shrink together from there on. */
class Fold {
  success = 0;
  total = 0;
  #accepted = 0;
  #all = 0;
  readonly #judges = new Map<string, number>();

  constructor(private readonly origin: Millis) {}

  add({ at, isAccept, judge }: Observation, sign: 1 | -1): void {
    const weight = sign * 2 ** ((at - this.origin) / HALF_LIFE_MS);
    this.total += sign;
    this.#all += weight;
    if (isAccept) {
      this.success += sign;
      this.#accepted += weight;
    }
    const count = (this.#judges.get(judge) ?? 0) + sign;
    if (count === 0) this.#judges.delete(judge);
    else this.#judges.set(judge, count);
  }

  figures(domain: string, at: Millis): Figures {
    const fade = 2 ** ((this.origin - at) / HALF_LIFE_MS);
    const { success, total } = this;
    const trust = total === 0 ? 0 : wilson(this.#accepted * fade, this.#all * fade);
    return { domain, success, total, trust, judges: this.#judges.size };
  }
}

/** Of two verdicts the one that holds: the later instant, then the later record. */
function isLater(a: Observation, b: Observation): boolean {
  return a.at !== b.at ? a.at > b.at : a.id > b.id;
}

/** Is it a verdict of this judge, or given by this actor? */
function isBy({ judge, judgeActor }: Observation, whose: string): boolean {
  return judge === whose || judgeActor === whose;
}

/** All evidence about one actor. A judge's later verdict on a record replaces the earlier one. */
export class Evidence {
  readonly #observations = new Map<number, Observation>();
  readonly #resets: Reset[] = [];
  #standing = new Map<string, Observation>();
  #folds = new Map<string, Fold>();
  #newest = -Infinity;
  #isStale = false;
  /** The newest observation it holds. */
  lastId = 0;

  /** How many verdicts it holds, replaced ones included. */
  get size(): number {
    return this.#observations.size;
  }

  /** Adds a verdict; one that it holds already changes nothing. */
  add(observation: Observation): void {
    if (this.#observations.has(observation.id)) return;
    this.#observations.set(observation.id, observation);
    this.lastId = Math.max(this.lastId, observation.id);
    if (!this.#isStale) this.fold(observation);
    this.#newest = Math.max(this.#newest, observation.at);
  }

  /** Adds a marker before which evidence no longer counts. */
  reset(reset: Reset): void {
    const isKnown = this.#resets.some((known) =>
      known.at === reset.at && known.domain === reset.domain
    );
    if (isKnown) return;
    this.#resets.push(reset);
    this.#newest = Math.max(this.#newest, reset.at);
    this.#isStale = true;
  }

  private fold(observation: Observation): void {
    const { domain, subject, judge, at } = observation;
    const key = `${subject} ${judge}`;
    const before = this.#standing.get(key);
    if (before && isLater(before, observation)) return;
    if (before && !this.isReset(before)) this.#folds.get(before.domain)?.add(before, -1);
    this.#standing.set(key, observation);
    if (this.isReset(observation)) return;
    let fold = this.#folds.get(domain);
    if (!fold) this.#folds.set(domain, fold = new Fold(at));
    fold.add(observation, 1);
  }

  private isReset({ domain, at }: Observation, upTo: Millis = Infinity): boolean {
    return this.#resets.some((reset) =>
      reset.at >= at && reset.at <= upTo && (reset.domain === null || reset.domain === domain)
    );
  }

  private refold(): void {
    this.#standing = new Map();
    this.#folds = new Map();
    for (const observation of this.inOrder()) this.fold(observation);
    this.#isStale = false;
  }

  private inOrder(): Observation[] {
    return [...this.#observations.values()].sort((a, b) => a.at - b.at || a.id - b.id);
  }

  /** The verdicts that stand at an instant: of each judge on each record the last. */
  standing(at: Millis = Infinity): Observation[] {
    const standing = new Map<string, Observation>();
    for (const observation of this.inOrder()) {
      if (observation.at > at) break;
      standing.set(`${observation.subject} ${observation.judge}`, observation);
    }
    return [...standing.values()].filter((observation) => !this.isReset(observation, at));
  }

  /**
   * What is known in a domain at an instant, or of that what one judge or actor said; the present
   * costs the same however much there is.
   */
  figures(domain: string, at: Millis, judge?: string): Figures {
    if (at < this.#newest || judge !== undefined) return this.figuresThen(domain, at, judge);
    if (this.#isStale) this.refold();
    const fold = this.#folds.get(domain);
    return fold ? fold.figures(domain, at) : noFigures(domain);
  }

  private figuresThen(domain: string, at: Millis, judge: string | undefined): Figures {
    const fold = new Fold(at);
    for (const observation of this.standing(at)) {
      if (observation.domain !== domain) continue;
      if (judge === undefined || isBy(observation, judge)) fold.add(observation, 1);
    }
    return fold.figures(domain, at);
  }

  /** The domains with evidence at an instant, by name. */
  domains(at: Millis): string[] {
    if (at < this.#newest) return [...new Set(this.standing(at).map((o) => o.domain))].sort();
    if (this.#isStale) this.refold();
    return [...this.#folds.keys()].filter((d) => this.#folds.get(d)!.total > 0).sort();
  }
}

/** What a memory is about. */
export const MEMORY_KINDS = ["user", "feedback", "project", "reference"] as const;
/** A word for what a memory is about. */
export type MemoryKind = typeof MEMORY_KINDS[number];

/** One thing that an actor remembers. */
export interface Remembered {
  readonly name: string;
  readonly kind: MemoryKind;
  readonly description: string;
  readonly body: Json;
  /** The room it comes from. */
  readonly room: string | null;
  readonly createdAt: Millis;
  readonly updatedAt: Millis;
  /** How often it was asked for by name. */
  readonly uses: number;
}
