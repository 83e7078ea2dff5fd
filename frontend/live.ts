/**
 * Keeps the store true: one whole reading, then one event stream whose records ask for what
 * changed. A hidden tab lets go of its stream; a lost one is taken up again where it stopped.
 * Whatever fails in between ends in `#resume`, now or when the tab is seen again.
 */
/// <reference lib="dom" />
import { type Api, inWords, Refused } from "./api.ts";
import type { Context, LogRecord, Poll } from "./model.ts";
import type { Link, RoomStore } from "./store.ts";
import { follow, type ServerEvent } from "./stream.ts";

/** Shortest time between two readings of what changed. */
const SYNC_EVERY_MS = 100;
/** The same for visitors of public rooms: servers count their requests by address. */
const SYNC_EVERY_WITHOUT_TOKEN_MS = 2_000;
const RATE_LIMITED_MS = 5_000;
/** Further behind than this, the room is read whole again. */
const CATCH_UP_RECORDS = 1_500;
const HIDDEN_AFTER_MS = 5_000;
const QUIET_MS = 45_000;
const POLL_EVERY_MS = 1_000;

const WHOLE = {
  focus_threshold: 0,
  elide_threshold: 0,
  elision: "none",
  depth: "usage",
  peek: true,
  messages_limit: 500,
} as const;

/** The connection of a page to its room. */
export class Live {
  #stream: AbortController | undefined;
  #syncing: Promise<void> | undefined;
  #isStale = false;
  #lastSync = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #hasStream = true;
  /** The service has answered on the stream that is held. */
  #isOpen = false;
  /** What the page shows is not yet, or no longer, a whole reading. */
  #isUnread = true;
  /** Something waits for the tab to be seen again. */
  #isDue = false;
  #isClosed = false;

  constructor(readonly api: Api, readonly store: RoomStore) {}

  /** Reads the room and follows it from there on. */
  async start(): Promise<void> {
    this.#isClosed = false;
    document.addEventListener("visibilitychange", this.#onVisibility);
    addEventListener("online", this.#onOnline);
    addEventListener("offline", this.#onOffline);
    await this.reload();
  }

  /** Stops for good: another token or another agent's eyes take over. */
  stop(): void {
    this.#isClosed = true;
    this.#release();
    clearTimeout(this.#hiding);
    clearTimeout(this.#retry);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    removeEventListener("online", this.#onOnline);
    removeEventListener("offline", this.#onOffline);
  }

  /** Reads the whole room again. */
  async reload(): Promise<void> {
    if (this.#isClosed) return;
    this.#isUnread = true;
    try {
      await this.#replace();
      this.#tries = 0;
      this.#open();
    } catch (error) {
      this.#failed(error);
    }
  }

  async #replace(): Promise<void> {
    const poll = await this.api.get<Poll>("/poll", WHOLE);
    if (this.#isClosed) return;
    this.#isUnread = false;
    this.store.replace(poll);
  }

  /** Goes on where it stopped: now, or when the tab is seen again. */
  #resume(): void {
    this.#isDue = document.hidden;
    if (this.#isClosed || this.#isDue || !isAlive(this.store.link.peek())) return;
    if (this.#isUnread) return void this.reload();
    this.refresh();
    if (!this.#stream) this.#open();
  }

  /** Asks for what changed: now, or soon when it was asked a moment ago. */
  refresh(): void {
    this.#isStale = true;
    if (this.#syncing || this.#timer !== undefined || this.#isClosed) return;
    const every = this.api.token === undefined ? SYNC_EVERY_WITHOUT_TOKEN_MS : SYNC_EVERY_MS;
    const wait = Math.max(0, this.#lastSync + every - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#syncing = this.#sync().finally(() => {
        this.#syncing = undefined;
        if (this.#isStale) this.refresh();
      });
    }, wait);
  }

  async #sync(): Promise<void> {
    this.#isStale = false;
    this.#lastSync = performance.now();
    try {
      const since = this.store.seq.peek();
      const context = await this.api.get<Context>("/context", { ...WHOLE, since });
      if (this.#isClosed) return;
      const isFarBehind = context.seq - this.store.lastRecord > CATCH_UP_RECORDS;
      if (isFarBehind || context.messages.next_after !== undefined) await this.#replace();
      else {
        this.store.merge(context);
        await this.#fillRecords();
      }
      this.#reached();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A reading that failed may have called the page offline while its stream went on. */
  #reached(): void {
    if (this.store.link.peek() !== "offline" || !this.#stream) return;
    if (!this.#hasStream) this.#say("polling");
    else if (this.#isOpen) this.#say("live");
  }

  /** Records that the stream has not brought. */
  async #fillRecords(): Promise<void> {
    while (this.store.lastRecord < this.store.seq.peek()) {
      const page = await this.api.getPlain<{ records: LogRecord[] }>("/log", {
        after: this.store.lastRecord,
        limit: 500,
      });
      if (page.records.length === 0 || this.#isClosed) return;
      this.store.addRecords(page.records);
    }
  }

  #open(): void {
    this.#release();
    if (this.#isClosed || document.hidden) return;
    if (!this.#hasStream) return this.#pollOn();
    const stream = this.#stream = new AbortController();
    const path = this.api.path("/events", { after: this.store.lastRecord, agent: this.api.agent });
    const on = {
      open: (): void => {
        if (stream.signal.aborted) return;
        this.#tries = 0;
        this.#isOpen = true;
        this.#say("live");
      },
      event: (event: ServerEvent): void => this.#take(event, stream),
    };
    follow(path, this.api.headers(), stream.signal, QUIET_MS, on).then(
      () => this.#lost(stream),
      (error) => this.#lost(stream, error),
    );
  }

  #take({ event, data }: ServerEvent, stream: AbortController): void {
    if (stream.signal.aborted) return;
    const body = JSON.parse(data);
    if (event === "record") {
      if (body.seq === this.store.lastRecord + 1) this.store.addRecords([body as LogRecord]);
      this.refresh();
    } else if (event === "views") {
      this.store.patchViews(body.views ?? {});
    } else if (event === "presence") {
      if (!this.store.patchPresence(body.agents ?? {})) this.refresh();
    } else if (event === "actions") {
      if (Number(body.seq) > this.store.seq.peek()) this.refresh();
    } else if (event === "reset") {
      this.#release();
      void this.reload();
    } else if (event === "end") {
      this.#release();
      if (body.reason === "the room has ended") this.#say("ended");
      else setTimeout(() => void this.reload(), 500);
    }
  }

  #lost(stream: AbortController, error?: unknown): void {
    if (this.#stream !== stream || stream.signal.aborted || this.#isClosed) return;
    if (error instanceof Refused && error.code === "not_found") {
      this.#hasStream = false;
      return this.#pollOn();
    }
    this.#release();
    if (error instanceof Refused) {
      this.#isUnread = true;
      return this.#failed(error);
    }
    this.#say("offline");
    this.#again();
  }

  /** Without a stream, what changed is asked for once a second. */
  #pollOn(): void {
    this.#say("polling");
    const stream = this.#stream = new AbortController();
    const next = (): void => {
      if (stream.signal.aborted) return;
      this.refresh();
      setTimeout(next, POLL_EVERY_MS);
    };
    next();
  }

  #failed(error: unknown): void {
    if (this.#isClosed || (error instanceof DOMException && error.name === "AbortError")) return;
    const status = error instanceof Refused ? error.status : 0;
    if (status === 401) return this.#say("expired", inWords(error));
    if (status === 403) return this.#say("denied", inWords(error));
    if (status === 404) return this.#say("missing", inWords(error));
    if (status === 429) return this.#again(RATE_LIMITED_MS);
    this.#say("offline", inWords(error));
    this.#again();
  }

  /** Later and later, and not all at once after an outage. */
  #again(least = 0): void {
    if (this.#retry !== undefined) return;
    const backoff = Math.min(15_000, 500 * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#resume();
    }, Math.max(least, backoff));
  }

  #say(link: Link, note = ""): void {
    this.store.link.value = link;
    this.store.linkNote.value = note;
    if (link !== "live" && link !== "polling" && link !== "offline") this.#release();
  }

  #release(): void {
    this.#stream?.abort();
    this.#stream = undefined;
    this.#isOpen = false;
  }

  #onVisibility = (): void => {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        this.#release();
        if (this.store.link.peek() === "live") this.#say("paused");
      }, HIDDEN_AFTER_MS);
    } else if (this.#isDue || !this.#isOpen) this.#resume();
  };

  #onOnline = (): void => {
    this.#tries = 0;
    if (isAlive(this.store.link.peek())) void this.reload();
  };

  #onOffline = (): void => {
    if (isAlive(this.store.link.peek())) this.#say("offline");
  };
}

function isAlive(link: Link): boolean {
  return link === "connecting" || link === "live" || link === "polling" || link === "offline" ||
    link === "paused";
}
