/** How event streams end: what the reader is told, and what is counted of it. */
import { SyncError } from "../errors.ts";
import { ROOM_STREAMS_MAX } from "../limits.ts";
import { frame } from "./frames.ts";

/** Why a stream is ended for a reader that does not read. */
export const SLOW = "the reader is too slow";

const REASONS: Readonly<Record<string, string>> = {
  [SLOW]: "slow",
  closing: "closing",
  "the room has ended": "room_ended",
  "the reader's rights have changed": "rights",
  invalid_token: "rights",
};

/** Every word for why a stream ended. */
export const STREAM_ENDS = [...new Set(Object.values(REASONS)), "gone", "reset", "end"] as const;

/** Why a stream ended, in one word for metrics; without an event the reader itself has gone. */
export function reasonOf(event: "reset" | "end" | undefined, reason: string | undefined): string {
  if (event === undefined) return "gone";
  return REASONS[reason ?? ""] ?? event;
}

/** Tells a reader that its stream ends, and ends it. */
export function finish(
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

/** `429 rate_limited`: the room's streams are too many. */
export function tooManyStreams(): SyncError {
  return new SyncError(
    "rate_limited",
    `A room takes at most ${ROOM_STREAMS_MAX} event streams at once.`,
    {
      limit: ROOM_STREAMS_MAX,
    },
    { "Retry-After": "5" },
  );
}
