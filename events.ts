/**
 * The event stream: every record from any seq on, with views, presence and availability beside
 * it. One encoded chunk is shared by all readers of equal sight; a slow reader is let go with
 * `reset` and never holds up a writer.
 */
import { act, type Acting, type Auth } from "./auth.ts";
import { showRecord } from "./audit.ts";
import type { Change, Moment } from "./engine/types.ts";
import type { Engine } from "./engine.ts";
import type { HotRoom } from "./engine/hot.ts";
import { SyncError } from "./errors.ts";
import {
  EVENT_GATHER_MS,
  EVENT_HEARTBEAT_MS,
  ROOM_STREAMS_MAX,
  STREAM_BACKLOG_BYTES_MAX,
} from "./limits.ts";
import { type Elevate, grantsOf, type Principal } from "./policy.ts";
import type { Room } from "./room.ts";
import { splitCell } from "./room/changes.ts";
import { callerEyes, Sight } from "./sight.ts";
import type { Json, JsonObject, LogRecord } from "./types.ts";

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
  /** Readers with one key get the same bytes. */
  key: string;
  /** The newest record it was sent. */
  sent: number;
  generation: number;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  end(event?: "reset" | "end", reason?: string): void;
}

/** What a room's stream has gathered since the last time it was sent. */
interface Gathering {
  readonly readers: Set<Reader>;
  readonly cells: Set<string>;
  cancel: (() => void) | undefined;
  cancelHeartbeat: (() => void) | undefined;
}

const RECORDS_PER_READ = 500;
const encoder = new TextEncoder();

function frame(event: string, data: Json, id?: number): Uint8Array {
  const head = id === undefined ? "" : `id: ${id}\n`;
  return encoder.encode(`${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** The event streams of all rooms. */
export class Streams {
  readonly #rooms = new Map<HotRoom, Gathering>();

  constructor(private readonly engine: Engine, private readonly auth: Auth) {
    engine.onChange((hot, change) => this.noteChange(hot, change));
    auth.onForget(() => void this.judgeRights());
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
    const { value: acting, hot, seq } = await this.engine.read(
      request.room,
      (moment) => act(request.principal, moment, "events", request.agent, request.elevate),
    );
    const gathering = this.gathering(hot);
    if (gathering.readers.size >= ROOM_STREAMS_MAX) throw tooManyStreams();
    const isAhead = request.after !== undefined && request.after > seq;
    let reader: Reader | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        reader = this.enter(hot, gathering, request, acting, controller, request.after ?? seq);
        if (isAhead) reader.end("reset", "the cursor is ahead of the room");
        else if ((request.after ?? seq) < seq) void this.catchUp(hot, reader, seq);
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
      };
      this.#rooms.set(hot, gathering);
    }
    return gathering;
  }

  private enter(
    hot: HotRoom,
    gathering: Gathering,
    request: StreamRequest,
    acting: Acting,
    controller: ReadableStreamDefaultController<Uint8Array>,
    sent: number,
  ): Reader {
    const onAbort = (): void => reader.end();
    const reader: Reader = {
      request,
      acting,
      key: sightKey(acting, hot.room),
      sent,
      generation: this.auth.generation,
      controller,
      end: (event, reason) => {
        if (!gathering.readers.delete(reader)) return;
        hot.pins--;
        request.signal?.removeEventListener("abort", onAbort);
        if (gathering.readers.size === 0) this.release(hot, gathering);
        finish(controller, event, hot.room.head, reason);
      },
    };
    gathering.readers.add(reader);
    hot.pins++;
    request.signal?.addEventListener("abort", onAbort, { once: true });
    this.beat(hot, gathering);
    controller.enqueue(encoder.encode(`retry: 1000\n\n`));
    return reader;
  }

  private release(hot: HotRoom, gathering: Gathering): void {
    gathering.cancel?.();
    gathering.cancelHeartbeat?.();
    this.#rooms.delete(hot);
  }

  /** A sign of life now and then, so that dead connections are noticed. */
  private beat(hot: HotRoom, gathering: Gathering): void {
    gathering.cancelHeartbeat ??= this.engine.clock.after(EVENT_HEARTBEAT_MS, () => {
      gathering.cancelHeartbeat = undefined;
      const chunk = frame("heartbeat", { seq: hot.room.head });
      for (const reader of [...gathering.readers]) this.send(reader, chunk);
      if (gathering.readers.size > 0) this.beat(hot, gathering);
    });
  }

  private noteChange(hot: HotRoom, change: Change): void {
    const gathering = this.#rooms.get(hot);
    if (!gathering) return;
    if (change.ended) {
      for (const reader of [...gathering.readers]) reader.end("end", "the room has ended");
      return;
    }
    this.sendRecords(hot, gathering, change.records);
    for (const cell of change.cells) gathering.cells.add(cell);
    gathering.cancel ??= this.engine.clock.after(EVENT_GATHER_MS, () => this.flush(hot, gathering));
  }

  /** Sends records to every reader that has all before them; one chunk per kind of sight. */
  private sendRecords(hot: HotRoom, gathering: Gathering, records: readonly LogRecord[]): void {
    if (records.length === 0) return;
    const chunks = new Map<string, Uint8Array[]>();
    for (const reader of [...gathering.readers]) {
      if (reader.sent !== records[0]!.seq - 1) continue;
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

  /** A reader that began in the past reads the log until it has caught up. */
  private async catchUp(hot: HotRoom, reader: Reader, upTo: number): Promise<void> {
    try {
      for (let goal = upTo; reader.sent < goal; goal = hot.durable) {
        const filter = { after: reader.sent, upTo: goal, limit: RECORDS_PER_READ };
        const records = await this.engine.store.readLog(hot.room.uid, filter);
        if (records.length === 0) {
          return reader.end("reset", "the log no longer reaches back that far");
        }
        for (const record of records) {
          this.send(
            reader,
            frame("record", showRecord(hot.room, reader.acting, record), record.seq),
          );
        }
        reader.sent = records.at(-1)!.seq;
      }
    } catch (error) {
      reader.end("reset", error instanceof SyncError ? error.message : "the log could not be read");
    }
  }

  /** What gathered in fifty milliseconds: views, presence, and actions that may have changed. */
  private flush(hot: HotRoom, gathering: Gathering): void {
    gathering.cancel = undefined;
    const cells = [...gathering.cells];
    gathering.cells.clear();
    const agents = new Set<string>();
    const views = new Set<string>();
    let mayChangeActions = false;
    for (const cell of cells) {
      if (cell.startsWith("presence:")) agents.add(cell.slice("presence:".length));
      else if (cell.startsWith("view:")) views.add(cell.slice("view:".length));
      else if (cell.includes("\u0000")) {
        const [scope, key] = splitCell(cell);
        if (scope === "_agents" && key !== "") agents.add(key);
        if (scope === "_views" && key !== "") views.add(key);
        mayChangeActions = true;
      }
    }
    const now = Math.max(this.engine.clock.now(), hot.room.ts);
    const moment: Moment = { hot, room: hot.room, now };
    const shared = new Map<string, Uint8Array[]>();
    for (const reader of [...gathering.readers]) {
      let chunks = shared.get(reader.key);
      if (!chunks) {
        shared.set(
          reader.key,
          chunks = besidesFor(moment, reader.acting, views, agents, mayChangeActions),
        );
      }
      for (const chunk of chunks) this.send(reader, chunk);
    }
  }

  /** Hands a chunk over; a reader that lags behind by too much is let go. */
  private send(reader: Reader, chunk: Uint8Array): void {
    const room = reader.controller.desiredSize;
    if (room === null || room <= 0) reader.end("reset", "the reader is too slow");
    else reader.controller.enqueue(chunk);
  }

  /** Rights are judged again whenever tokens, scopes or roles changed. */
  private async judgeRights(): Promise<void> {
    for (const [hot, gathering] of [...this.#rooms]) {
      for (const reader of [...gathering.readers]) {
        if (reader.generation === this.auth.generation) continue;
        const { request } = reader;
        try {
          const principal = await this.auth.again(request.principal);
          const acting = act(
            principal,
            { room: hot.room },
            "events",
            request.agent,
            request.elevate,
          );
          reader.generation = this.auth.generation;
          if (sightKey(acting, hot.room) !== reader.key) {
            reader.end("reset", "the reader's rights have changed");
          } else reader.acting = acting;
        } catch (error) {
          reader.end("end", error instanceof SyncError ? error.code : "closed");
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

/** Readers of equal sight: everybody without an agent, admins, and each agent by itself. */
function sightKey(acting: Acting, room: Room): string {
  if (acting.seesAll) return "admin";
  if (acting.agent === "") return "public";
  const seesParts = acting.isAdmin && !acting.isBorrowed;
  return `agent:${acting.agent}:${seesParts}:${grantsOf(room, acting.agent).join(",")}`;
}

function finish(
  controller: ReadableStreamDefaultController<Uint8Array>,
  event: "reset" | "end" | undefined,
  seq: number,
  reason: string | undefined,
): void {
  try {
    if (event) {
      controller.enqueue(frame(event, { seq, ...(reason === undefined ? {} : { reason }) }));
    }
    controller.close();
  } catch (error) {
    // The client has gone already, and the stream with it.
    if (!(error instanceof TypeError)) throw error;
  }
}

function besidesFor(
  { hot, room, now }: Moment,
  acting: Acting,
  views: ReadonlySet<string>,
  agents: ReadonlySet<string>,
  mayChangeActions: boolean,
): Uint8Array[] {
  const sight = new Sight(hot, callerEyes(room, acting.agent, acting.seesAll), now);
  const chunks: Uint8Array[] = [];
  const values: JsonObject = {};
  for (const id of views) {
    const view = sight.view(id);
    if (view) values[id] = { value: view.value, ...(view.error ? { error: view.error.code } : {}) };
    else if (!id.startsWith("_")) values[id] = { gone: true };
  }
  if (Object.keys(values).length > 0) {
    chunks.push(frame("views", { seq: room.head, views: values }));
  }
  const present: JsonObject = {};
  for (const id of agents) {
    const agent = sight.entry("_agents", id) ? room.agent(id) : undefined;
    if (!agent || agent.left_at !== undefined) {
      present[id] = { gone: true };
      continue;
    }
    const presence = hot.presence.get(id);
    const waiting = hot.waitingOn(id) ?? null;
    present[id] = {
      status: waiting === null ? presence?.status ?? "active" : "waiting",
      waiting_on: waiting,
      last_heartbeat: new Date(presence?.lastHeartbeat ?? now).toISOString(),
    };
  }
  if (Object.keys(present).length > 0) {
    chunks.push(frame("presence", { seq: room.head, agents: present }));
  }
  if (mayChangeActions) {
    const ids = (room.scopes.get("_actions")?.keys() ?? []).filter((id) => {
      const action = room.action(id);
      return action?.if !== undefined || action?.enabled !== undefined ||
        room.get("_actions", id)?.touched === room.head;
    });
    if (ids.length > 0) chunks.push(frame("actions", { seq: room.head, ids: [...ids] }));
  }
  return chunks;
}

function tooManyStreams(): SyncError {
  return new SyncError(
    "rate_limited",
    `A room takes at most ${ROOM_STREAMS_MAX} event streams at once.`,
    {
      limit: ROOM_STREAMS_MAX,
    },
    { "Retry-After": "5" },
  );
}
