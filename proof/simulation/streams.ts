/** A client that reads a room's event stream for a while: no gap, nothing twice, nothing untrue. */
import type { Client, RoomRef } from "./clients.ts";
import { requestOf } from "./transport.ts";

/** Follows a room from a record on, for some time; notes what was told. */
export async function follow(
  client: Client,
  room: RoomRef,
  agent: string,
  after: number,
  ms: number,
): Promise<void> {
  const { world } = client;
  const { scheduler, ledger } = world;
  const to = client.anyInstance();
  if (!to.service || to.isStopping) return;
  const controller = new AbortController();
  const { life } = to;
  const ask = {
    method: "GET",
    path: `/rooms/${room.name}/events?after=${after}`,
    token: room.tokens[agent] ?? room.admin,
  };
  let last = after;
  const take = (text: string): void => {
    for (const { seq, hash } of recordsOf(text)) {
      if (seq !== last + 1) ledger.blame(`a stream of ${room.name} told ${seq} after ${last}`);
      last = seq;
      ledger.told.push({ uid: room.uid, seq, hash });
      // Whoever was told of a record may look for it anywhere.
      ledger.raise(room.uid, seq);
    }
  };
  const read = async (): Promise<void> => {
    const response = await to.service!.fetch(requestOf(ask, controller.signal));
    if (response.status !== 200) {
      if (response.status !== 503) {
        ledger.blame(`a stream of ${room.name} answered ${response.status}`);
      }
      return;
    }
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) take(decoder.decode(chunk));
  };
  scheduler.after(1, to.owner, `stream ${room.name} after ${after}`, () => {
    if (to.service && !to.isStopping) void read();
  });
  await scheduler.sleep(ms);
  if (to.life === life) scheduler.after(0, to.owner, "stream ends", () => controller.abort());
}

function recordsOf(text: string): { seq: number; hash: string }[] {
  return text.split("\n\n").filter((frame) => frame.includes("event: record")).map((frame) => {
    const data = frame.split("\n").find((line) => line.startsWith("data: "))!;
    return JSON.parse(data.slice("data: ".length)) as { seq: number; hash: string };
  });
}
