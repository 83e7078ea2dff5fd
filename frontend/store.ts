/** The room as this page knows it: signals that panels read, and how replies are merged into them. */
import { batch, signal } from "@preact/signals";
import { noteNames } from "./format.ts";
import type {
  Action,
  Agent,
  Context,
  Entry,
  LogRecord,
  Message,
  Messages,
  Poll,
  Refusal,
  RoomInfo,
  View,
  Wait,
} from "./model.ts";

/** How the page is connected, for words and a dot. */
export type Link =
  | "connecting"
  | "live"
  | "polling"
  | "offline"
  | "paused"
  | "expired"
  | "denied"
  | "missing"
  | "ended";

/** A state entry with its place, and when this page saw it change. */
export interface Cell {
  readonly id: string;
  readonly scope: string;
  readonly key: string;
  readonly entry: Entry;
  /** `performance.now()` of the change; 0 for what was there at first. */
  readonly changedAt: number;
}

/** As many of the newest are kept, and whatever older ones somebody asked for. */
const RECORDS_KEPT = 2_000;
const MESSAGES_KEPT = 1_000;

/** Everything the panels show. */
export class RoomStore {
  readonly link = signal<Link>("connecting");
  readonly linkNote = signal("");
  readonly seq = signal(0);
  readonly self = signal("");
  readonly room = signal<RoomInfo | undefined>(undefined);
  readonly cells = new Map<string, Cell>();
  readonly stateVersion = signal(0);
  readonly scopes = signal<readonly string[]>([]);
  readonly views = signal<ReadonlyMap<string, View>>(new Map());
  readonly agents = signal<ReadonlyMap<string, Agent>>(new Map());
  readonly actions = signal<ReadonlyMap<string, Action>>(new Map());
  readonly messages = signal<readonly Message[]>([]);
  readonly counters = signal<Omit<Messages, "recent"> | undefined>(undefined);
  readonly records = signal<readonly LogRecord[]>([]);
  readonly refusals = signal<readonly Refusal[]>([]);
  readonly waits = signal<readonly Wait[]>([]);
  #recordsKept = RECORDS_KEPT;
  #messagesKept = MESSAGES_KEPT;
  /** The newest record that is known whole. */
  get lastRecord(): number {
    return this.records.peek().at(-1)?.seq ?? 0;
  }

  /** Takes a whole reading of the room. */
  replace(poll: Poll): void {
    batch(() => {
      this.cells.clear();
      this.room.value = poll.room;
      this.records.value = [...poll.audit].reverse();
      this.refusals.value = poll.refusals;
      this.waits.value = poll.waits;
      this.replaceContext(poll, 0);
    });
  }

  private replaceContext(context: Context, changedAt: number): void {
    this.cells.clear();
    this.views.value = new Map();
    this.actions.value = new Map();
    this.messages.value = [];
    this.merge({ ...context, removed: [] }, changedAt);
  }

  /** Takes what changed since the last reading. */
  merge(context: Context, changedAt = performance.now()): void {
    batch(() => {
      if (context.reset) return this.replaceContext({ ...context, reset: false }, changedAt);
      this.seq.value = Math.max(this.seq.peek(), context.seq);
      this.self.value = context.self;
      this.mergeState(context, changedAt);
      this.views.value = overlaid(
        this.views.peek(),
        context.views,
        context.removed?.map((r) => r.view),
      );
      this.actions.value = overlaid(
        this.actions.peek(),
        context.actions,
        context.removed?.map((r) => r.action),
      );
      noteNames(Object.keys(context.agents));
      this.agents.value = new Map(Object.entries(context.agents));
      this.mergeMessages(context);
    });
  }

  private mergeState(context: Context, changedAt: number): void {
    let isChanged = false;
    for (const [scope, entries] of Object.entries(context.state)) {
      for (const [key, entry] of Object.entries(entries)) {
        const id = cellId(scope, key);
        const known = this.cells.get(id);
        const isNew = known?.entry._meta.seq !== entry._meta.seq;
        this.cells.set(id, {
          id,
          scope,
          key,
          entry,
          changedAt: isNew ? changedAt : known?.changedAt ?? changedAt,
        });
        isChanged = true;
      }
    }
    for (const { scope, key } of context.removed ?? []) {
      if (scope !== undefined && key !== undefined) {
        isChanged = this.cells.delete(cellId(scope, key)) || isChanged;
      }
    }
    const known = this.scopes.peek();
    const scopes = Object.keys(context.state);
    if (scopes.some((scope) => !known.includes(scope))) {
      this.scopes.value = [...new Set([...known, ...scopes])];
    }
    if (isChanged || changedAt === 0) this.stateVersion.value++;
  }

  private mergeMessages({ messages, removed }: Context): void {
    const { recent, ...counters } = messages;
    const kept = this.counters.peek();
    this.counters.value = { ...kept, ...counters, total: Math.max(counters.count, counters.total) };
    const gone = new Set((removed ?? []).map((r) => r.message).filter((seq) => seq !== undefined));
    if (recent.length === 0 && gone.size === 0) return;
    const all = new Map(this.messages.peek().map((message) => [message.seq, message]));
    for (const message of recent) all.set(message.seq, message);
    for (const seq of gone) all.delete(seq);
    const order = [...all.values()].sort(byPlace);
    this.messages.value = order.slice(-this.#messagesKept);
  }

  /** Adds messages that lie before those that are known. */
  addOlderMessages(messages: readonly Message[]): void {
    const known = new Set(this.messages.peek().map(({ seq }) => seq));
    const older = messages.filter(({ seq }) => !known.has(seq));
    this.#messagesKept += older.length;
    this.messages.value = [...older, ...this.messages.peek()].sort(byPlace);
  }

  /** Adds records that lie before those that are known. */
  addOlderRecords(records: readonly LogRecord[]): void {
    const first = this.records.peek()[0]?.seq ?? 0;
    const older = records.filter(({ seq }) => seq < first);
    this.#recordsKept += older.length;
    this.records.value = [...older, ...this.records.peek()];
  }

  /** Adds records in order; what is known already is left as it is. */
  addRecords(records: readonly LogRecord[]): void {
    const fresh = records.filter((record) => record.seq > this.lastRecord);
    if (fresh.length === 0) return;
    this.records.value = [...this.records.peek(), ...fresh].slice(-this.#recordsKept);
  }

  /** Views' values as the stream tells them, ahead of the reading that follows. */
  patchViews(
    values: Readonly<Record<string, { value?: View["value"]; gone?: boolean; error?: string }>>,
  ): void {
    const views = new Map(this.views.peek());
    for (const [id, { value, gone, error }] of Object.entries(values)) {
      const known = views.get(id);
      if (gone) views.delete(id);
      else if (known && value !== undefined && error === undefined) {
        views.set(id, { ...known, value });
      }
    }
    this.views.value = views;
  }

  /** Agents' presence as the stream tells it. */
  patchPresence(
    present: Readonly<
      Record<
        string,
        { gone?: boolean; status?: string; waiting_on?: string | null; last_heartbeat?: string }
      >
    >,
  ): boolean {
    const agents = new Map(this.agents.peek());
    let isComplete = true;
    for (const [id, { gone, ...presence }] of Object.entries(present)) {
      const known = agents.get(id);
      if (gone) agents.delete(id);
      else if (known) {
        agents.set(id, { ...known, value: { ...known.value, ...presence } as Agent["value"] });
      } else isComplete = false;
    }
    this.agents.value = agents;
    return isComplete;
  }
}

/** Where a message stands among the others: where it began to be shown. */
export function placeOf({ shown_at, seq }: Message): number {
  return shown_at ?? seq;
}

function byPlace(a: Message, b: Message): number {
  return placeOf(a) - placeOf(b);
}

/** The identity of a state entry in the store. */
export function cellId(scope: string, key: string): string {
  return `${scope}\u0000${key}`;
}

function overlaid<T>(
  known: ReadonlyMap<string, T>,
  fresh: Readonly<Record<string, T>>,
  gone: readonly (string | undefined)[] = [],
): ReadonlyMap<string, T> {
  const entries = Object.entries(fresh);
  const lost = gone.filter((id) => id !== undefined && known.has(id) && !(id in fresh));
  if (entries.length === 0 && lost.length === 0) return known;
  const next = new Map(known);
  for (const id of lost) next.delete(id as string);
  for (const [id, value] of entries) next.set(id, value);
  return next;
}
