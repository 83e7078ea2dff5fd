/**
 * One of the demo's workers: claims a document, reads it, reports what it found, until all are
 * read; then votes and waits for the outcome. Arguments: origin, room, id, what it judges by.
 */
import type { Json, JsonObject } from "../../types.ts";
import { Agent, objectAt, Refused } from "./client.ts";

/** How long a worker may hold a task without a sign of life. */
const LEASE_MS = 30_000;

/** What a document holds. Pure. */
export function measure(text: string): {
  words: number;
  headings: number;
  links: number;
  longest_section: string;
} {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  const sections = prose.split(/^#+ /m).slice(1);
  const longest = sections.reduce((a, b) => b.length > a.length ? b : a, "");
  return {
    words: prose.split(/\s+/).filter((word) => word !== "").length,
    headings: sections.length,
    links: [...prose.matchAll(/\]\([^)]+\)/g)].length,
    longest_section: longest.split("\n")[0]!.trim(),
  };
}

/** Takes one open task; undefined when somebody else was faster. */
async function claim(
  me: Agent,
  tasks: readonly JsonObject[],
): Promise<{ task: JsonObject; fence: number } | undefined> {
  // Beginning at different places, the workers meet less often.
  const task = tasks[Number(me.id.replace(/\D/g, "")) % tasks.length]!;
  try {
    const held = await me.invoke("_claim_message", { seq: task["seq"]!, lease_ms: LEASE_MS });
    return { task, fence: held["fence"] as number };
  } catch (error) {
    if (!(error instanceof Refused) || error.body["error"] !== "already_claimed") throw error;
    me.say(`#${task["seq"]} went to ${error.body["claimed_by"]}`);
    return undefined;
  }
}

async function work(me: Agent): Promise<void> {
  for (;;) {
    const room = await me.wait('messages.unclaimed > 0 || state._shared.phase.value != "working"', {
      include: "state,messages",
      messages_unclaimed: true,
    });
    if (objectAt(room, "state", "_shared", "phase")["value"] !== "working") return;
    const tasks = objectAt(room, "messages")["recent"] as JsonObject[];
    const held = tasks.length === 0 ? undefined : await claim(me, tasks);
    if (!held) continue;
    const seq = held.task["seq"] as number;
    const document = objectAt(held.task, "body")["document"] as string;
    const found = measure(await me.document(document));
    const fence = { message: seq, fence: held.fence };
    await me.invoke("report", { document, ...found }, { fence }, `report:${seq}`);
    await me.invoke(
      "_send_message",
      { kind: "result", reply_to: seq, body: found },
      {},
      `result:${seq}`,
    );
    me.say(
      `read ${document}: ${found.words} words, ${found.headings} headings, ${found.links} links`,
    );
  }
}

async function vote(me: Agent, by: string): Promise<void> {
  const { state } = await me.wait('state._shared.phase.value == "voting"');
  const reports = Object.values(objectAt({ state: state! }, "state", "_reports")) as JsonObject[];
  const measureOf = (report: JsonObject): number => Number(objectAt(report, "value")[by] as Json);
  const best = reports.reduce((a, b) => measureOf(b) > measureOf(a) ? b : a);
  const choice = objectAt(best, "value")["document"] as string;
  await me.invoke("vote", { choice });
  me.say(`votes for ${choice}, for its ${by}`);
}

if (import.meta.main) {
  const [origin, room, id, by] = Deno.args;
  const me = await Agent.join(origin!, room!, id!, { role: "worker", public_keys: ["vote"] });
  await me.wait("has(state._shared.phase)");
  await work(me);
  await vote(me, by!);
  await me.wait('state._shared.phase.value == "done"');
  await me.invoke("_set_status", { status: "done" });
  me.say("done");
}
