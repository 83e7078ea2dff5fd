/** Plays the demo from this page: its three agents act by turns for a few minutes. */
import { Api, Refused } from "./api.ts";
import type { Demo } from "./demo.ts";
import { stepAt } from "./demo-steps.ts";
import { recall } from "./session.ts";
import type { RoomStore } from "./store.ts";

const EVERY_MS = 1_500;
const STEPS = 240;

/** Goes on until the play is over, the page is left, or the room is gone. A hidden page rests. */
export function playHere(room: string, store: RoomStore): void {
  const demo = JSON.parse(recall(`demo:${room}`) ?? "{}") as Partial<Demo>;
  const apis = new Map(
    Object.entries(demo.agents ?? {}).map(([id, token]) => [id, new Api(room, token)]),
  );
  let n = 0;
  const next = async (): Promise<void> => {
    if (!document.hidden && store.link.peek() === "live") {
      const { agent, action, params } = stepAt(n++);
      try {
        await apis.get(agent)?.invoke(action, params);
      } catch (error) {
        if (!(error instanceof Refused) || error.status === 401 || error.status === 404) return;
      }
    }
    if (n < STEPS) setTimeout(() => void next(), EVERY_MS);
  };
  void next();
}
