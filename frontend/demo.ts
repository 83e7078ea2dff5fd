/** The demo room: three agents ship a release. Made and played through the HTTP API like any other room. */
import type { Json, JsonObject } from "./model.ts";

/** One call to the service; throws for a refusal. */
export type Call = (
  method: string,
  path: string,
  body: Json,
  token?: string,
) => Promise<JsonObject>;

/** A demo room and everybody's tokens. */
export interface Demo {
  readonly room: string;
  readonly admin: string;
  readonly view: string;
  readonly agents: Readonly<Record<string, string>>;
}

const AGENTS = [
  { id: "ada", name: "Ada", role: "planner", meta: { model: "planner-large" } },
  { id: "bo", name: "Bo", role: "builder", meta: { model: "builder-fast" } },
  {
    id: "cy",
    name: "Cy",
    role: "reviewer",
    state: { private_notes: "Look twice at the login changes." },
  },
] as const;

const ACTIONS: readonly JsonObject[] = [
  {
    id: "plan_task",
    description: "Put a task on the board",
    params: {
      title: { type: "string", required: true },
      size: { type: "integer", minimum: 1, maximum: 8, default: 2 },
    },
    writes: [
      {
        key: "board",
        append: true,
        value: { title: "${params.title}", size: "${params.size}", by: "${self}" },
      },
      { key: "planned", increment: 1 },
    ],
  },
  {
    id: "build_task",
    description: "Finish the next planned task",
    if: "state._shared.built.value < state._shared.planned.value",
    writes: [{ key: "built", increment: 1 }, { key: "last_built_by", value: "${self}" }],
  },
  {
    id: "review",
    description: "Say how a built task looks",
    params: { verdict: { type: "string", enum: ["approve", "ask for changes"], required: true } },
    if: "state._shared.reviewed.value < state._shared.built.value",
    writes: [{ key: "reviewed", increment: 1 }, {
      key: "verdict",
      value: "${params.verdict}",
      timer: { ms: 900_000, effect: "delete" },
    }],
  },
  {
    id: "ship",
    description: "Release what is reviewed",
    if: "state._shared.reviewed.value >= 3 && state._shared.phase.value == 'building'",
    writes: [{ key: "phase", value: "shipped" }],
  },
  {
    id: "run_tests",
    description: "Run the test suite; rests for a while afterwards",
    params: { coverage: { type: "number", minimum: 0, maximum: 100, required: true } },
    writes: [{ key: "coverage", value: "${params.coverage}" }],
    on_invoke: { timer: { ms: 2_000, effect: "enable" } },
  },
  {
    id: "note",
    description: "Add a line to the release notes",
    params: { line: { type: "string", required: true } },
    writes: [{
      key: "notes",
      expr: true,
      value: "state._shared.notes.value + '\\n- ' + params.line",
    }],
  },
  {
    id: "start",
    description: "Begin a new release",
    writes: [
      { key: "phase", value: "building" },
      { key: "planned", value: 0 },
      { key: "built", value: 0 },
      { key: "reviewed", value: 0 },
      { key: "coverage", value: 71.5 },
      { key: "board", value: [] },
      { key: "notes", value: "### Release notes\n" },
      { key: "freeze", value: "tonight", timer: { ms: 5_400_000, effect: "delete" } },
    ],
  },
];

const VIEWS: readonly JsonObject[] = [
  {
    id: "phase",
    expr: "state._shared.phase.value",
    render: { type: "metric", label: "Phase", order: 1, group: "Release" },
  },
  {
    id: "progress",
    expr:
      "state._shared.planned.value == 0 ? 0 : state._shared.built.value * 100 / state._shared.planned.value",
    render: { type: "metric", label: "Built", unit: "%", order: 2, group: "Release" },
  },
  {
    id: "coverage",
    expr: "state._shared.coverage.value",
    render: {
      type: "metric",
      label: "Test coverage",
      unit: "%",
      color: "good",
      order: 3,
      group: "Release",
    },
  },
  {
    id: "waiting_for_review",
    expr: "state._shared.built.value - state._shared.reviewed.value",
    render: { type: "metric", label: "Waiting for review", order: 4, group: "Release" },
  },
  {
    id: "board",
    expr: "state._shared.board.value",
    render: {
      type: "array-table",
      label: "Board",
      order: 5,
      group: "Work",
      columns: [{ key: "title", label: "Task" }, { key: "size", label: "Size" }, {
        key: "by",
        label: "Planned by",
      }],
    },
  },
  {
    id: "notes",
    expr: "state._shared.notes.value",
    render: { type: "markdown", label: "Release notes", order: 6, group: "Work" },
  },
  {
    id: "talk",
    expr: "messages.count",
    render: {
      type: "feed",
      label: "Talk",
      kinds: ["chat", "task"],
      order: 7,
      group: "Work",
      max_rows: 6,
    },
  },
  {
    id: "watched",
    expr: "['freeze', 'verdict', 'last_built_by']",
    render: {
      type: "watch",
      label: "Keep an eye on",
      order: 8,
      group: "Work",
      keys: ["freeze", "verdict", "last_built_by"],
    },
  },
  {
    id: "verdicts",
    expr: "['review']",
    render: {
      type: "action-choice",
      label: "Your verdict",
      actions: ["review"],
      order: 9,
      group: "Do",
    },
  },
  {
    id: "controls",
    expr: "['build_task', 'ship']",
    render: {
      type: "action-bar",
      label: "Controls",
      actions: ["build_task", "ship", "plan_task"],
      order: 10,
      group: "Do",
    },
  },
  {
    id: "cy.mood",
    expr: "size(state.cy.private_notes.value) > 0 ? 'has doubts' : 'fine'",
    scope: "cy",
  },
];

/** Makes the room: agents, vocabulary, surfaces, a first release under way. */
export async function makeDemo(call: Call, token?: string, id?: string): Promise<Demo> {
  const made = await call("POST", "/rooms", {
    label: "Release 4.2",
    ...(id === undefined ? {} : { id }),
  }, token);
  const room = String(made["id"]), admin = String(made["token"]), view = String(made["view_token"]);
  const agents: Record<string, string> = {};
  for (const agent of AGENTS) {
    const joined = await call("POST", `/rooms/${room}/agents`, agent as unknown as Json, admin);
    agents[agent.id] = String(joined["token"]);
  }
  const invoke = (action: string, params: JsonObject): Promise<JsonObject> =>
    call("POST", `/rooms/${room}/actions/${action}/invoke`, { params, agent: "admin" }, admin);
  for (const action of ACTIONS) await invoke("_register_action", action);
  await invoke("start", {});
  await invoke("_delete_action", { id: "start" });
  for (const view of VIEWS) await invoke("_register_view", view);
  return { room, admin, view, agents };
}
