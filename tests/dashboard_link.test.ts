/**
 * The dashboard's connection without a browser: generated orders of outages, hidden tabs and
 * waiting, on a clock of the test's own. However they fall, the page is live again at the end.
 */
import "./seed.ts";
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { Api } from "../frontend/api.ts";
import { Live } from "../frontend/live.ts";
import { RoomStore } from "../frontend/store.ts";

/** Timers that run when the test says so. */
class Time {
  now = 0;
  #last = 0;
  readonly #timers = new Map<number, { readonly due: number; readonly run: () => void }>();

  set = (run: () => void, ms = 0): number => {
    this.#timers.set(++this.#last, { due: this.now + ms, run });
    return this.#last;
  };
  clear = (id: number | undefined): void => void this.#timers.delete(id ?? 0);

  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    while (true) {
      const next = [...this.#timers].filter(([, { due }]) => due <= end)
        .sort(([a, x], [b, y]) => x.due - y.due || a - b)[0];
      if (!next) break;
      this.#timers.delete(next[0]);
      this.now = Math.max(this.now, next[1].due);
      next[1].run();
      await settle();
    }
    this.now = end;
  }
}

/** Lets what has been answered be read. */
async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await setImmediate();
}

/** A stream is never silent for longer than this. */
const BEAT_MS = 10_000;

/** A room whose service comes and goes. */
class Room {
  isUp = true;
  isLimited = false;
  seq = 3;
  readonly streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  constructor(readonly hasStream: boolean) {}

  fetch = (input: string, init: RequestInit = {}): Promise<Response> => {
    if (!this.isUp) return Promise.reject(new TypeError("no connection"));
    if (this.isLimited) return this.#refuse(429, "rate_limited");
    const url = new URL(input, "http://sync.invalid");
    const rest = url.pathname.replace("/rooms/r", "");
    if (rest === "/events" && !this.hasStream) return this.#refuse(404, "not_found");
    if (rest === "/events") return Promise.resolve(new Response(this.#stream(init.signal!)));
    const after = Number(url.searchParams.get("after") ?? 0);
    const records = Array.from({ length: this.seq }, (_, i) => ({ seq: i + 1 }));
    if (rest === "/log") {
      return Promise.resolve(Response.json({ records: records.slice(after) }));
    }
    const messages = { count: 0, total: 0, recent: [] };
    const empty = { state: {}, views: {}, agents: {}, actions: {}, messages, self: "admin" };
    const poll = { room: { id: "r" }, audit: records.reverse(), refusals: [], waits: [] };
    return Promise.resolve(Response.json({ seq: this.seq, ...empty, ...poll }));
  };

  #refuse(status: number, error: string): Promise<Response> {
    return Promise.resolve(Response.json({ error, message: error }, { status }));
  }

  #stream(signal: AbortSignal): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start: (controller) => {
        this.streams.add(controller);
        signal.addEventListener("abort", () => {
          if (this.streams.delete(controller)) controller.error(signal.reason);
        });
      },
    });
  }

  /** What is on the wire breaks. */
  drop(): void {
    for (const stream of this.streams) stream.error(new TypeError("connection reset"));
    this.streams.clear();
  }

  tell(event: string, body: unknown): void {
    this.#send(`event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
  }

  /** A sign of life. */
  beat(): void {
    this.#send(": here\n\n");
  }

  #send(text: string): void {
    for (const stream of this.streams) stream.enqueue(new TextEncoder().encode(text));
  }

  write(): void {
    this.tell("record", { seq: ++this.seq });
  }
}

const STEPS = [
  "cut",
  "mend",
  "drop",
  "limit",
  "free",
  "hide",
  "show",
  "write",
  "end",
  "reset",
  "offline",
  "online",
  "look",
] as const;
type Step = typeof STEPS[number] | number;

/** A page in its tab: `document`, timers and `fetch` are the test's. */
class Tab {
  readonly time = new Time();
  readonly room: Room;
  readonly store = new RoomStore();
  readonly page = Object.assign(new EventTarget(), { hidden: false });
  readonly live: Live;
  isOffline = false;
  constructor(hasStream: boolean) {
    this.room = new Room(hasStream);
    this.live = new Live(new Api("r", "room_x"), this.store);
  }

  #show(isHidden: boolean): void {
    this.page.hidden = isHidden;
    this.page.dispatchEvent(new Event("visibilitychange"));
  }

  #connect(isOffline: boolean): void {
    if (this.isOffline !== isOffline) dispatchEvent(new Event(isOffline ? "offline" : "online"));
    this.isOffline = isOffline;
  }

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= BEAT_MS) {
      await this.time.pass(Math.min(left, BEAT_MS));
      this.room.beat();
    }
  }

  /** All is well again and somebody looks: what the page shows must be what is. */
  async #look(): Promise<void> {
    const { room, store } = this;
    room.isUp = true;
    room.isLimited = false;
    this.#connect(false);
    this.#show(false);
    await settle();
    await this.#pass(25_000);
    assert.equal(store.link.value, room.hasStream ? "live" : "polling");
    assert.equal(room.streams.size, room.hasStream ? 1 : 0);
    assert.deepEqual([store.seq.value, store.lastRecord], [room.seq, room.seq]);
  }

  async take(step: Step): Promise<void> {
    const { room } = this;
    if (typeof step === "number") {
      await this.#pass(step);
      if (this.page.hidden && step > 5_000) assert.equal(room.streams.size, 0);
    } else if (step === "cut") {
      room.isUp = false;
      room.drop();
    } else if (step === "mend") room.isUp = true;
    else if (step === "drop") room.drop();
    else if (step === "limit" || step === "free") room.isLimited = step === "limit";
    else if (step === "hide" || step === "show") this.#show(step === "hide");
    else if (step === "write") room.write();
    else if (step === "end") room.tell("end", { reason: "the service stops" });
    else if (step === "reset") room.tell("reset", {});
    else if (step === "look") await this.#look();
    else this.#connect(step === "offline");
    await settle();
  }
}

/** Plays a sequence, and looks at the end. */
async function play(steps: readonly Step[], hasStream: boolean): Promise<void> {
  const tab = new Tab(hasStream);
  const { document, setTimeout, clearTimeout, fetch } = globalThis as Record<string, unknown>;
  const { now } = performance, { random } = Math;
  Object.assign(globalThis, {
    document: tab.page,
    setTimeout: tab.time.set,
    clearTimeout: tab.time.clear,
    fetch: tab.room.fetch,
  });
  performance.now = () => tab.time.now;
  Math.random = () => 0.5;
  try {
    await tab.live.start();
    for (const step of [...steps, "look" as const]) await tab.take(step);
    tab.live.stop();
    await settle();
    assert.equal(tab.room.streams.size, 0);
  } finally {
    Object.assign(globalThis, { document, setTimeout, clearTimeout, fetch });
    performance.now = now;
    Math.random = random;
  }
}

Deno.test("A tab that was hidden during an outage is live again, however short that was", async () => {
  const rows: readonly (readonly Step[])[] = [
    ["cut", 150, "hide", 3_350, "mend", "show"],
    ["hide", "cut", 800, "mend", "show"],
    ["cut", "hide", 60_000, "mend", 10, "show"],
    ["cut", 60_000, "hide", 1_000, "show", 1_000, "hide", 15_000, "mend", "show"],
    ["limit", "write", 200, "hide", 5_500, "free", "show"],
    ["limit", "write", 200, "hide", 4_900, 200, "show", "free"],
  ];
  for (const row of rows) {
    await play(row, true);
    await play(row, false);
  }
});

Deno.test("Whatever is lost, hidden, seen and tried again in whatever order, the page ends live", async () => {
  const step = fc.oneof<fc.WeightedArbitrary<Step>[]>(
    { weight: 3, arbitrary: fc.constantFrom(...STEPS) },
    { weight: 1, arbitrary: fc.constantFrom(...[20, 150, 600, 1_200, 4_900, 5_200, 20_000]) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.boolean(), play),
    { numRuns: 300 },
  );
});
