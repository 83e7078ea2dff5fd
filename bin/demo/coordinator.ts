/**
 * The demo's coordinator: declares the room's vocabulary, posts a task for each document, calls
 * the vote when all reports are in, and names the outcome. Arguments: origin, room, documents…
 */
import type { JsonObject } from "../../types.ts";
import { Agent, objectAt } from "./client.ts";

/** How many vote. */
const VOTERS = 4;

const ACTIONS: readonly JsonObject[] = [
  {
    id: "set_phase",
    description: "Lead the room from one phase to the next",
    scope: "coordinator",
    params: { phase: { type: "string", enum: ["working", "voting", "done"], required: true } },
    if: 'self == "coordinator"',
    writes: [{ key: "phase", value: "${params.phase}" }],
  },
  {
    id: "report",
    description: "Hand in what you found in a document",
    params: {
      document: { type: "string", required: true },
      words: { type: "integer", required: true },
      headings: { type: "integer", required: true },
      links: { type: "integer", required: true },
      longest_section: { type: "string", required: true },
    },
    if: 'state._shared.phase.value == "working"',
    writes: [{
      scope: "_reports",
      key: "${params.document}",
      value: {
        document: "${params.document}",
        words: "${params.words}",
        headings: "${params.headings}",
        links: "${params.links}",
        longest_section: "${params.longest_section}",
        by: "${self}",
      },
    }],
  },
  {
    id: "vote",
    description: "Name the document that should be split in two",
    params: { choice: { type: "string", required: true } },
    if: 'state._shared.phase.value == "voting" && params.choice in state._reports',
    writes: [{ scope: "${self}", key: "vote", value: "${params.choice}" }],
  },
];

const BALLOT = 'views.keys().filter(k, k.endsWith(".vote") && views[k].value != null)';

const VIEWS: readonly JsonObject[] = [
  {
    id: "progress",
    expr: "state._reports.keys().size()",
    render: { type: "metric", label: "Documents read", order: 1 },
  },
  {
    id: "reports",
    expr: "state._reports.values().map(e, e.value)",
    render: {
      type: "array-table",
      label: "Reports",
      order: 2,
      columns: ["document", "words", "headings", "links", "longest_section", "by"],
    },
  },
  {
    id: "votes",
    expr: `${BALLOT}.map(k, views[k].value)`,
    render: { type: "json", label: "Votes", order: 3 },
  },
  {
    id: "winner",
    expr: `views.votes.value.size() < ${VOTERS} ? "open" : ` +
      "state._reports.keys().filter(d, state._reports.keys().all(o, " +
      "views.votes.value.filter(v, v == o).size() <= views.votes.value.filter(v, v == d).size()))[0]",
    render: { type: "metric", label: "To be split", order: 4 },
  },
];

/** Leads the room from its first action to its outcome. */
async function coordinate(
  origin: string,
  room: string,
  documents: readonly string[],
): Promise<void> {
  const me = await Agent.join(origin, room, "coordinator", { role: "coordinator" });
  for (const action of ACTIONS) await me.invoke("_register_action", action);
  for (const view of VIEWS) await me.invoke("_register_view", { scope: "_shared", ...view });
  await me.invoke("set_phase", { phase: "working" });
  for (const document of documents) {
    await me.invoke("_send_message", { kind: "task", body: { document } }, {}, `task:${document}`);
  }
  me.say(`posted ${documents.length} tasks`);

  await me.wait(`views.progress.value == ${documents.length}`);
  me.say("all reports are in; calling the vote");
  await me.invoke("set_phase", { phase: "voting" });

  const { views } = await me.wait('views.winner.value != "open"', { include: "views" });
  const votes = objectAt({ views: views! }, "views", "votes")["value"];
  const winner = objectAt({ views: views! }, "views", "winner")["value"] as string;
  me.say(`votes: ${JSON.stringify(votes)}`);
  await me.invoke("_send_message", { kind: "outcome", body: `${winner} should be split in two` });
  await me.invoke("set_phase", { phase: "done" });
  await me.invoke("_set_status", { status: "done" });
  me.say(`the outcome: ${winner} should be split in two`);
}

const [origin, room, ...documents] = Deno.args;
await coordinate(origin!, room!, documents);
