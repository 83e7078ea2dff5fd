/** Server-sent events over `fetch`, which can carry an Authorization header and see a refusal. */
import { readReply } from "./api.ts";

/** One event. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

/** Cuts a stream's text into events; keeps what is not complete yet. Pure but for its own buffer. */
export class EventParser {
  #rest = "";

  /** The events that a further piece of text completes. */
  push(text: string): ServerEvent[] {
    const blocks = (this.#rest + text).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop() ?? "";
    return blocks.map(parseBlock).filter((event) => event !== undefined);
  }
}

function parseBlock(block: string): ServerEvent | undefined {
  let event = "message", id: string | undefined;
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id") id = value;
  }
  return data.length === 0 ? undefined : { event, data: data.join("\n"), id };
}

/**
 * Follows a stream until it ends or is aborted; `quietMs` without a sign of life counts as an end.
 * Throws `Refused` when the service does not open it.
 */
export async function follow(
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  quietMs: number,
  on: { open(): void; event(event: ServerEvent): void },
): Promise<void> {
  const quiet = new AbortController();
  const stop = (): void => quiet.abort();
  signal.addEventListener("abort", stop, { once: true });
  let timer = setTimeout(stop, quietMs);
  try {
    const accept = { ...headers, Accept: "text/event-stream" };
    const response = await fetch(path, {
      headers: accept,
      signal: quiet.signal,
      cache: "no-store",
      credentials: "omit",
    });
    if (!response.ok || !response.body) {
      await readReply(response);
      return;
    }
    on.open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(stop, quietMs);
      for (const event of parser.push(piece.value)) on.event(event);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
