/** Fills a reply up to a budget, and says what was left out. */
import type { Json, JsonObject } from "../types.ts";
import type { ShownMessage } from "./messages.ts";
import type { Candidate } from "./state.ts";

type Left = "state" | "messages" | "views" | "actions" | "agents";

/** Characters reserved for the report of what was left out. */
const REPORT = 220;

/** Characters by which counts and `next_after` may grow when more is left out. */
const DIGITS = 48;

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

  /**
   * Adds the message that a page begins with, in place of directed ones at its end when there is no
   * room: else a reader whose directed messages fill the budget would get the same page for ever.
   */
  addFirst(message: ShownMessage): void {
    const size = JSON.stringify(message.body).length + 1;
    const [kept, ...others] = this.#messages;
    const sizes = others.map((other) => JSON.stringify(other.body).length + 1);
    const free = this.#max - this.#used;
    if (!kept || free + sizes.reduce((sum, other) => sum + other, 0) < size) {
      this.addMessage(message);
      return;
    }
    for (let i = others.length - 1; this.#used + size > this.#max; i--) {
      this.#messages.delete(others[i]!);
      this.#used -= sizes[i]!;
      this.#left.messages++;
    }
    this.addMessage(message);
  }

  /** The reply, and how far its messages go without leaving out one that the reader has not read. */
  finish(
    page: readonly ShownMessage[],
    nextAfter: number | undefined,
  ): { body: JsonObject; readTo: number | undefined } {
    const upTo = (isGap: (message: ShownMessage) => boolean): number | undefined => {
      const gap = page.findIndex((message) => isGap(message) && !this.#messages.has(message));
      return page[(gap < 0 ? page.length : gap) - 1]?.order;
    };
    const section = this.body["messages"] as JsonObject | undefined;
    if (section) {
      const shown = page.filter((message) => this.#messages.has(message));
      section["recent"] = shown.map((message) => message.body);
      section["returned"] = shown.length;
      const next = shown.length < page.length ? upTo(() => true) ?? page[0]!.order - 1 : nextAfter;
      if (next !== undefined) section["next_after"] = next;
    }
    const shaping = this.body["_shaping"] as JsonObject;
    const { body } = this;
    shaping["budget"] = { tokens: this.tokens, used: 0, left_out: { ...this.#left } };
    (shaping["budget"] as JsonObject)["used"] = Math.ceil((JSON.stringify(body).length + 8) / 4);
    return { body, readTo: upTo((message) => message.isUnread) };
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

/**
 * Cuts what was added from the log to what the budget leaves: the oldest records of `_audit` go
 * first, then the last of a page of invocations.
 */
export function cutToBudget(body: JsonObject, tokens: number, isInvoked: boolean): void {
  const report = (body["_shaping"] as JsonObject)["budget"] as JsonObject;
  const left = report["left_out"] as Record<Left, number>;
  // The counts of the report grow by as many digits.
  let over = JSON.stringify(body).length + DIGITS - tokens * 4;
  const audit = (body["state"] as JsonObject | undefined)?.["_audit"] as JsonObject | undefined;
  for (const seq of Object.keys(audit ?? {})) {
    if (over <= 0) break;
    over -= JSON.stringify(audit![seq]).length + seq.length + 4;
    delete audit![seq];
    left.state++;
  }
  const messages = body["messages"] as JsonObject | undefined;
  const recent = (messages?.["recent"] ?? []) as JsonObject[];
  while (isInvoked && over > 0 && recent.length > 0) {
    const last = recent.pop()!;
    over -= JSON.stringify(last).length + 1;
    left.messages++;
    messages!["next_after"] = Number(last["seq"]) - 1;
    messages!["returned"] = recent.length;
  }
  report["used"] = Math.ceil(JSON.stringify(body).length / 4);
}
