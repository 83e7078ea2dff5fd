/**
 * The event stream: every record from any seq on, with views, presence and availability beside
 * it. One encoded chunk is shared by all readers of equal sight; a slow reader is let go with
 * `reset` and never holds up a writer.
 */
import { heartbeat } from "./agents/presence.ts";
import { act, type Acting, type Auth, isExpired, passOver, type Touched } from "./auth.ts";
import { showRecord } from "./audit.ts";
import type { Change } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import type { HotRoom } from "./engine/hot.ts";
import { isAway, SyncError } from "./errors.ts";
import {
  EVENT_GATHER_MS,
  EVENT_HEARTBEAT_MS,
  ROOM_STREAMS_MAX,
  STREAM_BACKLOG_BYTES_MAX,
} from "./limits.ts";
import { finish, reasonOf, SLOW, STREAM_ENDS, tooManyStreams } from "./events/ending.ts";
import { allBesides, besidesFor, besidesOf, frame, retryFrame } from "./events/frames.ts";
import { Counter, counters } from "./meters.ts";
import { type Elevate, grantsOf, type Principal } from "./policy.ts";
import type { Room } from "./room.ts";
import { callerEyes, Sight } from "./sight.ts";
import type { LogRecord } from "./types.ts";

/** What a stream needs from its door. */
export interface StreamRequest {
  readonly principal: Principal;
  readonly room: string;
  readonly agent?: string | undefined;
  /** The record after which to begin; undefined for what comes from now on. */
  readonly after: number | undefined;
  readonly elevate?: Elevate | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One reader of a room's stream. */
interface Reader {
  readonly request: StreamRequest;
  acting: Acting;
  /** Lets go of its place in the user's quota. */
  readonly release: (() => void) | undefined;
  /** Readers with one key get the same bytes. */
  key: string;
  /** The newest record it was sent. */
  sent: number;
  generation: number;
  /** Reads the log to come up with the room; what stands beside the records comes at its end. */
  isBehind: boolean;
  /** Was not told of something beside the records. */
  hasMissed: boolean;
  /** Has read nothing of a full backlog since the last heartbeat. */
  isStuck: boolean;
  /** Called when there is room for more. */
  onRoom: (() => void) | undefined;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  end(event?: "reset" | "end", reason?: string): void;
}

/** What a room's stream has gathered since the last time it was sent. */
interface Gathering {
  readonly readers: Set<Reader>;
  readonly cells: Set<string>;
  cancel: (() => void) | undefined;
  cancelHeartbeat: (() => void) | undefined;
  cancelVolatile: (() => void) | undefined;
  /** What views that change by themselves last came to, as JSON. */
  readonly volatile: Map<string, string>;
}

const RECORDS_PER_READ = 500;
/** A client whose stream ended comes back after this. */
const RETRY_MS = 1_000;
/** Views that change by themselves are looked at this often. */
const VOLATILE_MS = 1_000;

/** The event streams of all rooms. */
export class Streams {
  readonly #rooms = new Map<HotRoom, Gathering>();
  /** Streams opened, and those ended by why. */
  readonly opened = new Counter();
  readonly ended = counters("reason").with(...STREAM_ENDS);

  constructor(private readonly engine: Engine, private readonly auth: Auth) {
    engine.onChange((hot, change) => this.noteChange(hot, change));
    auth.onForget((touched) => void this.judgeRights(touched));
  }

  /** Open streams, for metrics. */
  get open(): number {
    let open = 0;
    for (const { readers } of this.#rooms.values()) open += readers.size;
    return open;
  }

  /** Opens a stream as server-sent events. Throws the refusals of the policy. */
  async subscribe(
    request: StreamRequest,
  ): Promise<{ body: ReadableStream<Uint8Array>; seq: number }> {
    const { value: acting, hot, seq } = await this.engine.read(request.room, (moment) => {
      const acting = act(request.principal, moment, "events", request.agent, request.elevate);
      heartbeat(this.engine, moment.hot, acting, moment.now);
      return acting;
    });
    const gathering = this.gathering(hot);
    if (gathering.readers.size >= ROOM_STREAMS_MAX) throw tooManyStreams();
    const release = this.engine.quotas?.hold("user_streams", request.principal);
    const after = request.after ?? seq;
    let reader: Reader | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        reader = this.enter(hot, gathering, { request, acting, release }, controller, after);
        if (after > hot.durable) reader.end("reset", "the cursor is ahead of the room");
        else if (after < hot.durable) void this.catchUp(hot, gathering, reader);
        else this.noteViews(hot, gathering);
      },
      pull: () => {
        if (reader) reader.isStuck = false;
        reader?.onRoom?.();
      },
      cancel: () => reader?.end(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: STREAM_BACKLOG_BYTES_MAX }));
    return { body, seq };
  }

  private gathering(hot: HotRoom): Gathering {
    let gathering = this.#rooms.get(hot);
    if (!gathering) {
      gathering = {
        readers: new Set(),
        cells: new Set(),
        cancel: undefined,
        cancelHeartbeat: undefined,
        cancelVolatile: undefined,
        volatile: new Map(),
      };
      this.#rooms.set(hot, gathering);
    }
    return gathering;
  }

  private enter(
    hot: HotRoom,
    gathering: Gathering,
    { request, acting, release }: Pick<Reader, "request" | "acting" | "release">,
    controller: ReadableStreamDefaultController<Uint8Array>,
    sent: number,
  ): Reader {
    const onAbort = (): void => reader.end();
    const reader: Reader = {
      request,
      acting,
      release,
      key: sightKey(acting, hot.room),
      sent,
      generation: this.auth.generation,
      isBehind: false,
      hasMissed: false,
      isStuck: false,
      onRoom: undefined,
      controller,
      end: (event, reason) => {
        if (!gathering.readers.delete(reader)) return;
        hot.pins--;
        release?.();
        this.ended.of(reasonOf(event, reason)).inc();
        request.signal?.removeEventListener("abort", onAbort);
        if (gathering.readers.size === 0) this.release(hot, gathering);
        reader.onRoom?.();
        finish(controller, event, hot.room.head, reason);
      },
    };
    gathering.readers.add(reader);
    this.opened.inc();
    hot.pins++;
    request.signal?.addEventListener("abort", onAbort, { once: true });
    this.beat(hot, gathering);
    controller.enqueue(retryFrame(RETRY_MS));
    return reader;
  }

  private release(hot: HotRoom, gathering: Gathering): void {
    gathering.cancel?.();
    gathering.cancelHeartbeat?.();
    gathering.cancelVolatile?.();
    if (this.#rooms.get(hot) === gathering) this.#rooms.delete(hot);
  }

  /** A sign of life now and then, so that dead connections are noticed. */
  private beat(hot: HotRoom, gathering: Gathering): void {
    gathering.cancelHeartbeat ??= this.engine.clock.after(EVENT_HEARTBEAT_MS, () => {
      gathering.cancelHeartbeat = undefined;
      const chunk = frame("heartbeat", { seq: hot.room.head });
      const now = this.engine.clock.now();
      for (const reader of [...gathering.readers]) {
        if (isExpired(reader.request.principal, now)) reader.end("end", "invalid_token");
        else if (!reader.isBehind || hasRoom(reader)) this.send(reader, chunk);
        else if (reader.isStuck) reader.end("reset", SLOW);
        else reader.isStuck = true;
      }
      if (gathering.readers.size > 0) this.beat(hot, gathering);
    });
  }

  private noteChange(hot: HotRoom, change: Change): void {
    const gathering = this.#rooms.get(hot);
    if (!gathering) return;
    if (change.ended) {
      const [event, why] = change.ended === "deleted"
        ? ["end", "the room has ended"] as const
        : ["reset", "the log no longer reaches back that far"] as const;
      for (const reader of [...gathering.readers]) reader.end(event, why);
      return;
    }
    this.sendRecords(hot, gathering, change.records);
    for (const cell of change.cells) gathering.cells.add(cell);
    this.flushSoon(hot, gathering);
  }

  /** Sends records to every reader that has all before them; one chunk per kind of sight. */
  private sendRecords(hot: HotRoom, gathering: Gathering, records: readonly LogRecord[]): void {
    if (records.length === 0) return;
    const chunks = new Map<string, Uint8Array[]>();
    for (const reader of [...gathering.readers]) {
      // One whose rights are being judged again reads the log when they have been.
      if (reader.generation !== this.auth.generation) continue;
      if (reader.isBehind || reader.sent !== records[0]!.seq - 1) continue;
      let frames = chunks.get(reader.key);
      if (!frames) {
        frames = records.map((record) =>
          frame("record", showRecord(hot.room, reader.acting, record), record.seq)
        );
        chunks.set(reader.key, frames);
      }
      for (const chunk of frames) this.send(reader, chunk);
      reader.sent = records.at(-1)!.seq;
    }
  }

  /** A reader that is behind reads the log, at its own pace, until it has caught up. */
  private async catchUp(hot: HotRoom, gathering: Gathering, reader: Reader): Promise<void> {
    const isUpToDate = reader.sent >= hot.durable && !reader.hasMissed;
    if (reader.isBehind || isUpToDate) return;
    reader.isBehind = true;
    try {
      while (reader.sent < hot.durable) {
        const filter = { after: reader.sent, upTo: hot.durable, limit: RECORDS_PER_READ };
        const records = await this.engine.store.readLog(hot.room.uid, filter);
        if (records.length === 0) {
          return reader.end("reset", "the log no longer reaches back that far");
        }
        for (const record of records) {
          await roomFor(reader);
          // Gone, or its rights are no longer certain.
          if (!gathering.readers.has(reader) || reader.generation !== this.auth.generation) return;
          const shown = showRecord(hot.room, reader.acting, record);
          this.send(reader, frame("record", shown, record.seq));
          reader.sent = record.seq;
        }
      }
      reader.hasMissed = false;
      const moment = this.engine.moment(hot);
      this.noteViews(hot, gathering);
      const chunks = besidesFor(moment, reader.acting, allBesides(moment.room));
      for (const chunk of chunks) this.send(reader, chunk);
    } catch (error) {
      reader.end("reset", error instanceof SyncError ? error.message : "the log could not be read");
    } finally {
      reader.isBehind = false;
    }
  }

  /** Has every view a value, so that it can be told when one changes; some change by themselves. */
  private noteViews(hot: HotRoom, gathering: Gathering): void {
    const { room, now } = this.engine.moment(hot);
    const sight = new Sight(hot, callerEyes(room, "admin", true), now);
    gathering.volatile.clear();
    for (const id of sight.viewIds()) {
      const view = sight.view(id);
      if (view?.isVolatile) gathering.volatile.set(id, JSON.stringify(view.value));
    }
    if (gathering.volatile.size === 0) return;
    gathering.cancelVolatile ??= this.engine.clock.after(VOLATILE_MS, () => {
      gathering.cancelVolatile = undefined;
      if (hot.isDead || gathering.readers.size === 0) return;
      const before = new Map(gathering.volatile);
      this.noteViews(hot, gathering);
      for (const [id, value] of gathering.volatile) {
        if (before.get(id) !== value) gathering.cells.add(`view:${id}`);
      }
      if (gathering.cells.size > 0) this.flushSoon(hot, gathering);
    });
  }

  private flushSoon(hot: HotRoom, gathering: Gathering): void {
    gathering.cancel ??= this.engine.clock.after(EVENT_GATHER_MS, () => this.flush(hot, gathering));
  }

  /** What gathered in fifty milliseconds: views, presence, and actions that may have changed. */
  private flush(hot: HotRoom, gathering: Gathering): void {
    gathering.cancel = undefined;
    if (hot.isDead) return;
    const besides = besidesOf(gathering.cells);
    gathering.cells.clear();
    const moment = this.engine.moment(hot);
    this.noteViews(hot, gathering);
    const shared = new Map<string, Uint8Array[]>();
    for (const reader of [...gathering.readers]) {
      if (reader.isBehind || reader.generation !== this.auth.generation) {
        reader.hasMissed = true;
        continue;
      }
      let chunks = shared.get(reader.key);
      if (!chunks) shared.set(reader.key, chunks = besidesFor(moment, reader.acting, besides));
      for (const chunk of chunks) this.send(reader, chunk);
    }
  }

  /** Hands a chunk over; a reader that lags behind by too much is let go. */
  private send(reader: Reader, chunk: Uint8Array): void {
    if (hasRoom(reader)) reader.controller.enqueue(chunk);
    else reader.end("reset", SLOW);
  }

  /** Rights are judged again whenever tokens, scopes or roles changed. */
  private async judgeRights(touched: Touched | undefined): Promise<void> {
    for (const { readers } of this.#rooms.values()) {
      passOver(readers, touched, this.auth.generation);
    }
    for (const [hot, gathering] of [...this.#rooms]) {
      for (const reader of [...gathering.readers]) {
        if (reader.generation === this.auth.generation) continue;
        const { request } = reader;
        // Noted before the look: what changes meanwhile is judged once more.
        const { generation } = this.auth;
        try {
          const principal = await this.auth.again(request.principal, request.room);
          const acting = act(
            principal,
            { room: hot.room },
            "events",
            request.agent,
            request.elevate,
          );
          reader.generation = generation;
          if (sightKey(acting, hot.room) !== reader.key) {
            reader.end("reset", "the reader's rights have changed");
          } else {
            reader.acting = acting;
            void this.catchUp(hot, gathering, reader);
          }
        } catch (error) {
          // Whoever comes back is told when its rights can be read again.
          if (isAway(error)) reader.end("reset", "the database is away");
          else reader.end("end", error instanceof SyncError ? error.code : "closed");
        }
      }
    }
  }

  /** Ends every stream: the service is about to stop. */
  close(): void {
    for (const gathering of [...this.#rooms.values()]) {
      for (const reader of [...gathering.readers]) reader.end("end", "closing");
    }
  }
}

function hasRoom({ controller }: Reader): boolean {
  return (controller.desiredSize ?? 0) > 0;
}

/** Resolves when there is room in the reader's backlog, or the reader has gone. */
async function roomFor(reader: Reader): Promise<void> {
  if (hasRoom(reader)) return;
  await new Promise<void>((resolve) => reader.onRoom = resolve);
  reader.onRoom = undefined;
}

/** Readers of equal sight: everybody without an agent, admins, and each agent by itself. */
function sightKey(acting: Acting, room: Room): string {
  if (acting.seesAll) return "admin";
  if (acting.agent === "") return "public";
  const seesParts = acting.isAdmin && !acting.isBorrowed;
  return `agent:${acting.agent}:${seesParts}:${grantsOf(room, acting.agent).join(",")}`;
}
