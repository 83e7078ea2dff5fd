/** Fills a reply up to a budget, and says what was left out. */
import type { Json, JsonObject } from "../types.ts";
import type { ShownMessage } from "./messages.ts";
import type { Candidate } from "./state.ts";

type Left = "state" | "messages" | "views" | "actions" | "agents";

/** Characters reserved for the report of what was left out. */
const REPORT = 220;

/** Characters that the smallest entry takes. */
const ENTRY_LEAST = 90;

/** The first `most` by score, highest first. */
function mostSalient<T extends { readonly score: number }>(
  all: readonly T[],
  most: number,
): T[] {
  const byScore = (a: T, b: T): number => b.score - a.score;
  if (all.length <= most) return [...all].sort(byScore);
  const least = Float64Array.from(all, ({ score }) => score).sort()[all.length - most]!;
  return all.filter(({ score }) => score >= least).sort(byScore).slice(0, most);
}

/** A reply that grows as long as it stays within `tokens` times four characters. */
export class Budgeter {
  #used: number;
  readonly #max: number;
  readonly #left: Record<Left, number> = { state: 0, messages: 0, views: 0, actions: 0, agents: 0 };
  readonly #messages = new Set<ShownMessage>();

  constructor(private readonly body: JsonObject, private readonly tokens: number) {
    this.#max = tokens * 4;
    this.#used = JSON.stringify(body).length + REPORT;
    this.trimFrame();
  }

  /** A frame larger than the whole budget gives up what can be asked for again. */
  private trimFrame(): void {
    const { removed, state } = this.body;
    if (this.#used <= this.#max) return;
    if (Array.isArray(removed)) {
      this.body["reset"] = true;
      this.body["removed"] = [];
    }
    if (state !== undefined) {
      // Scopes stand there again with the first of their entries that fits.
      const always = Object.keys(state as JsonObject).filter((scope) =>
        scope === "_shared" || scope === "self"
      );
      this.body["state"] = Object.fromEntries(always.map((scope) => [scope, {}]));
    }
    this.#used = JSON.stringify(this.body).length + REPORT;
  }

  /** How many entries fit at most, however small they are. */
  get entriesMax(): number {
    return Math.ceil(this.#max / ENTRY_LEAST);
  }

  /** Counts entries as left out that were not tried. */
  leaveOutEntries(count: number): void {
    this.#left.state += count;
  }

  private take(size: number): boolean {
    if (this.#used + size > this.#max) return false;
    this.#used += size;
    return true;
  }

  /** Adds an entry; false when it does not fit. */
  addEntry(scope: string, key: string, shown: JsonObject): boolean {
    const isNewScope = (this.body["state"] as JsonObject)[scope] === undefined;
    const size = JSON.stringify(key).length + JSON.stringify(shown).length + 2;
    if (!this.take(size + (isNewScope ? scope.length + 6 : 0))) {
      this.#left.state++;
      return false;
    }
    const state = this.body["state"] as Record<string, JsonObject>;
    (state[scope] ??= {})[key] = shown;
    return true;
  }

  /** Adds a view, agent or action; false when it does not fit. */
  addMember(section: "views" | "agents" | "actions", id: string, shown: JsonObject): boolean {
    if (!this.take(JSON.stringify(id).length + JSON.stringify(shown).length + 2)) {
      this.#left[section]++;
      return false;
    }
    (this.body[section] as JsonObject)[id] = shown;
    return true;
  }

  /** Shows more of a member that is there already, if that fits. */
  replaceMember(section: "actions", id: string, shown: JsonObject): void {
    const members = this.body[section] as Record<string, Json>;
    if (!Object.hasOwn(members, id)) return;
    const growth = JSON.stringify(shown).length - JSON.stringify(members[id]).length;
    if (this.take(growth)) members[id] = shown;
  }

  /** Adds a message; false when it does not fit. */
  addMessage(message: ShownMessage): boolean {
    if (!this.take(JSON.stringify(message.body).length + 1)) {
      this.#left.messages++;
      return false;
    }
    this.#messages.add(message);
    return true;
  }

  /** The reply, and how far its messages go without leaving out one that the reader has not read. */
  finish(
    page: readonly ShownMessage[],
    nextAfter: number | undefined,
  ): { body: JsonObject; readTo: number | undefined } {
    let readTo: number | undefined;
    let isGapless = true;
    for (const message of page) {
      if (!this.#messages.has(message)) isGapless = false;
      if (isGapless) readTo = message.order;
    }
    const section = this.body["messages"] as JsonObject | undefined;
    if (section) {
      const shown = page.filter((message) => this.#messages.has(message));
      section["recent"] = shown.map((message) => message.body);
      section["returned"] = shown.length;
      const next = shown.length < page.length ? readTo ?? (page[0]!.order - 1) : nextAfter;
      if (next !== undefined) section["next_after"] = next;
    }
    const shaping = this.body["_shaping"] as JsonObject;
    const { body } = this;
    shaping["budget"] = { tokens: this.tokens, used: 0, left_out: { ...this.#left } };
    (shaping["budget"] as JsonObject)["used"] = Math.ceil((JSON.stringify(body).length + 8) / 4);
    return { body, readTo };
  }
}

/** So many entries in a row that do not fit end the search for one that does. */
const MISSES_MAX = 32;

/** Adds entries by score as they fit; false when one was left out. */
export function addMostSalient(
  budgeter: Budgeter,
  all: readonly Candidate[],
  show: (candidate: Candidate) => JsonObject,
): boolean {
  let added = 0, tried = 0, missed = 0;
  for (const candidate of mostSalient(all, budgeter.entriesMax + MISSES_MAX)) {
    if (missed >= MISSES_MAX) break;
    tried++;
    if (budgeter.addEntry(candidate.shownScope, candidate.key, show(candidate))) {
      added++;
      missed = 0;
    } else missed++;
  }
  budgeter.leaveOutEntries(all.length - tried);
  return added === all.length;
}
