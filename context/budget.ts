/** Fills a reply up to a budget, and says what was left out. */
import type { JsonObject } from "../types.ts";
import {
  beginOfRun,
  earlier,
  type MessagesSection,
  noRoom,
  type ShownMessage,
} from "./messages.ts";
import { entrySize, inShape, type Listing, memberSize } from "./plain.ts";
import { type ContextQuery, INVOCATIONS } from "./query.ts";
import type { Candidate } from "./state.ts";

type Left = "state" | "messages" | "views" | "actions" | "agents";

/** Characters that saying how to get the messages before a page takes. */
const EARLIER = 72;

/** Characters that saying how to get a message takes for which there is no room. */
const NO_ROOM = 120;

/** Characters reserved for the report of what was left out, and of what lies before. */
const REPORT = 220 + EARLIER;

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

  constructor(
    private readonly body: JsonObject,
    private readonly tokens: number,
    private readonly shape: ContextQuery["shape"],
  ) {
    this.#max = tokens * 4;
    this.#used = this.frameSize();
    this.trimFrame();
  }

  private frameSize(): number {
    const report = REPORT + (this.body["messages"] === undefined ? 0 : NO_ROOM);
    return JSON.stringify(inShape(this.body, this.shape)).length + report;
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
    this.#used = this.frameSize();
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
    const size = JSON.stringify(key).length + entrySize(scope, key, shown, this.shape) + 2;
    if (!this.take(size + (isNewScope ? scope.length + 6 : 0))) {
      this.#left.state++;
      return false;
    }
    const state = this.body["state"] as Record<string, JsonObject>;
    (state[scope] ??= {})[key] = shown;
    return true;
  }

  /** Adds a view, agent or action; false when it does not fit. */
  addMember(section: Listing, id: string, shown: JsonObject): boolean {
    if (!this.take(JSON.stringify(id).length + memberSize(section, id, shown, this.shape) + 2)) {
      this.#left[section]++;
      return false;
    }
    (this.body[section] as JsonObject)[id] = shown;
    return true;
  }

  /** Shows more of a member that is there already, if that fits. */
  replaceMember(section: "actions", id: string, shown: JsonObject): void {
    const members = this.body[section] as Record<string, JsonObject>;
    if (!Object.hasOwn(members, id)) return;
    const size = (member: JsonObject): number => memberSize(section, id, member, this.shape);
    if (this.take(size(shown) - size(members[id]!))) members[id] = shown;
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

  /**
   * The reply, and how far its messages go without leaving out one that the reader has not read.
   * In a page of the newest, those left out at its beginning lie before it.
   */
  finish(
    messages: MessagesSection | undefined,
    isNewest: boolean,
  ): { body: JsonObject; readTo: number | undefined } {
    const page = messages?.page ?? [];
    const isLeftOut = (message: ShownMessage): boolean => !this.#messages.has(message);
    if (messages) this.finishMessages(messages, isNewest, isLeftOut);
    const budget = { tokens: this.tokens, used: 0, left_out: { ...this.#left } };
    (this.body["_shaping"] as JsonObject)["budget"] = budget;
    const body = inShape(this.body, this.shape);
    budget.used = Math.ceil((JSON.stringify(body).length + 8) / 4);
    const gap = page.findIndex((message) => message.isUnread && isLeftOut(message));
    const end = gap < 0 ? page.length : beginOfRun(page, gap);
    return { body, readTo: page[end - 1]?.order };
  }

  private finishMessages(
    { page, nextAfter, before, earlierAfter }: MessagesSection,
    isNewest: boolean,
    isLeftOut: (message: ShownMessage) => boolean,
  ): void {
    const section = this.body["messages"] as JsonObject;
    const shown = page.filter((message) => !isLeftOut(message));
    section["recent"] = shown.map((message) => message.body);
    section["returned"] = shown.length;
    const begin = isNewest
      ? Math.max(0, page.findIndex((message) => message.isUnread || !isLeftOut(message)))
      : 0;
    const gap = page.findIndex((message, i) => i >= begin && isLeftOut(message));
    const next = gap < 0
      ? nextAfter
      : page[beginOfRun(page, gap) - 1]?.order ?? page[gap]!.order - 1;
    const stuck = stuckAt(page, isNewest, isLeftOut);
    if (stuck) section["no_room"] = stuck;
    else if (next !== undefined) section["next_after"] = next;
    if (before + begin > 0) section["earlier"] = earlier(before + begin, earlierAfter);
  }
}

/**
 * The message at which a page cannot go on: the first of a page that was asked for, or the first
 * that the reader has not read. Undefined where there was room for it, and all that it came with.
 */
function stuckAt(
  page: readonly ShownMessage[],
  isNewest: boolean,
  isLeftOut: (message: ShownMessage) => boolean,
): JsonObject | undefined {
  const gap = page.findIndex((message) => (!isNewest || message.isUnread) && isLeftOut(message));
  if (gap < 0) return undefined;
  const begin = beginOfRun(page, gap);
  const isFirst = isNewest ? !page.slice(0, begin).some(({ isUnread }) => isUnread) : begin === 0;
  if (!isFirst) return undefined;
  const { order, seq } = page[gap]!;
  const size = page.filter((message) => message.order === order)
    .reduce((sum, { body }) => sum + JSON.stringify(body).length + 1, 0);
  return noRoom(seq, order - 1, size);
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
 * first, then of a page of invocations the last, or of the newest ones the first.
 */
export function cutToBudget(
  body: JsonObject,
  tokens: number,
  invoked: "none" | "ascending" | "newest",
): void {
  const shaping = body["_shaping"] as JsonObject;
  const report = shaping["budget"] as JsonObject;
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
  if (audit) (shaping["audit"] as JsonObject)["returned"] = Object.keys(audit).length;
  if (invoked !== "none") {
    const messages = body["messages"] as JsonObject;
    left.messages += cutInvocations(messages, over, invoked === "newest");
  }
  report["used"] = Math.ceil(JSON.stringify(body).length / 4);
}

function cutInvocations(messages: JsonObject, excess: number, isNewest: boolean): number {
  const recent = messages["recent"] as JsonObject[];
  let cut = 0;
  let last: JsonObject | undefined;
  let over = excess + (isNewest && excess > 0 ? EARLIER : 0);
  while (over > 0 && recent.length > 0) {
    const gone = (isNewest ? recent.shift() : recent.pop())!;
    over -= JSON.stringify(gone).length + 1;
    cut++;
    last = gone;
    if (!isNewest) messages["next_after"] = Number(gone["seq"]) - 1;
  }
  if (!isNewest && recent.length === 0 && last) {
    delete messages["next_after"];
    const seq = Number(last["seq"]);
    messages["no_room"] = noRoom(seq, seq - 1, JSON.stringify(last).length, INVOCATIONS);
  }
  messages["returned"] = recent.length;
  const before = Number(messages["total"]) - recent.length;
  if (isNewest && before > 0) messages["earlier"] = earlier(before, 0);
  return cut;
}
