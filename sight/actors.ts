/**
 * What expressions see of actors: trust from evidence, and an actor's own memory. Both lie beside
 * the room, behind a port that answers at once.
 */
import { CelError, CelMap, type Value } from "../cel.ts";
import type { Figures, Remembered } from "../actors.ts";
import { isPrivateScope } from "../policy.ts";
import { splitCell } from "../room/changes.ts";
import type { Sight } from "../sight.ts";
import { iso } from "../timers.ts";
import type { LogRecord, Millis } from "../types.ts";
import { EntryMap, LazyMap } from "./maps.ts";

/** Who registered an actor. */
export interface ActorOwner {
  /** The user's id; undefined for an actor that nobody registered. */
  readonly user?: string;
  /** Its owner has ended it: nobody speaks as it any more. */
  readonly isEnded: boolean;
}

/**
 * Actors as a synchronous look asks for them. What is not in memory yet is loaded, and the look
 * begins again (`strictly`), or counts as nothing for now.
 */
export interface ActorsPort {
  figures(did: string, domain: string, at: Millis): Figures;
  profile(did: string, at: Millis): readonly Figures[];
  memory(did: string): ReadonlyMap<string, Remembered>;
  owner(did: string): ActorOwner;
  record(room: string, seq: number): LogRecord | undefined;
  /** Runs a look that must not miss anything. Throws `NotLoaded` for what has to be loaded first. */
  strictly<T>(run: () => T): T;
}

/** Thrown to a look that asked for what is not in memory: load it, and look again. */
export class NotLoaded extends Error {
  override readonly name = "NotLoaded";
  constructor(readonly load: () => Promise<void>) {
    super("not in memory");
  }
}

/** Loads what a look missed; false where something else is amiss. */
export async function loadMissing(error: unknown): Promise<boolean> {
  if (!(error instanceof NotLoaded)) return false;
  await error.load();
  return true;
}

/** Looks again until nothing is missing. */
export async function whenLoaded<T>(actors: ActorsPort | undefined, run: () => T): Promise<T> {
  while (actors) {
    try {
      return actors.strictly(run);
    } catch (error) {
      if (!await loadMissing(error)) throw error;
    }
  }
  return run();
}

/** `trust`, `trust_count`, `trust_judges` of an agent of the room, or of a DID, in a domain. */
export function callTrust(sight: Sight, name: string, args: readonly Value[]): Value {
  const [who, domain] = args;
  if (typeof who !== "string" || typeof domain !== "string") {
    throw new CelError("argument", `${name}() wants an agent's id or a DID, and a domain`);
  }
  const did = actorNamed(sight, who);
  const figures = did === undefined
    ? undefined
    : sight.live.actors?.figures(did, domain, sight.now);
  const value = figures === undefined
    ? 0
    : name === "trust"
    ? figures.trust
    : name === "trust_count"
    ? figures.total
    : figures.judges;
  if (did !== undefined) sight.read(`trust:${did}`);
  const shown = `${name}(${JSON.stringify(who)}, ${JSON.stringify(domain)})`;
  sight.passVolatile(shown + behind(sight), value);
  return value;
}

function actorNamed(sight: Sight, who: string): string | undefined {
  if (who.startsWith("did:")) return who;
  sight.entry("_agents", who);
  return sight.room.agent(who)?.actor;
}

/**
 * The private scopes that the look has read so far: a name computed from one is shown to those
 * only who may read it.
 */
function behind(sight: Sight): string {
  const scopes = new Set<string>();
  for (const cell of sight.tracker?.cells ?? []) {
    if (!cell.includes("\u0000")) continue;
    const [scope] = splitCell(cell);
    if (isPrivateScope(scope)) scopes.add(scope);
  }
  return [...scopes].sort().map((scope) => ` state.${scope}`).join("");
}

/** `memory`: the actor's own contexts; empty where the reader has no actor of its own. */
export class MemoryMap extends CelMap {
  constructor(private readonly sight: Sight) {
    super();
  }
  private entries(): ReadonlyMap<string, Remembered> {
    const { eyes, live } = this.sight;
    if (eyes.actor === undefined || live.isPast) return new Map();
    this.sight.read(`memory:${eyes.actor}`);
    return live.actors?.memory(eyes.actor) ?? new Map();
  }
  get(name: string): Value | undefined {
    const entry = this.entries().get(name);
    if (!entry) return undefined;
    return new EntryMap(
      () => entry.body as Value,
      () =>
        new LazyMap({
          kind: () => entry.kind,
          description: () => entry.description,
          updated_at: () => iso(entry.updatedAt),
          uses: () => entry.uses,
          elided: () => false,
        }),
    );
  }
  keys(): Iterable<string> {
    return this.entries().keys();
  }
  get size(): number {
    return this.entries().size;
  }
}
