/**
 * The clients' room over HTTP: how it is made, what a call looks like as a request, and what a
 * reply says.
 */
import { type Answer as Reply, ask as send } from "../server.ts";
import type { Answer, Asked, Shown } from "./history.ts";
import { ABSENT, type Cell } from "./models.ts";

/** A room made for the clients. `made` is its head before they begin. */
export interface World {
  readonly room: string;
  readonly admin: string;
  readonly view: string;
  readonly agents: readonly { readonly id: string; readonly token: string }[];
  readonly made: number;
}

/** Keys of registers and of counters. */
export const REGISTERS = ["r0", "r1", "r2", "r3"] as const;
export const COUNTERS = ["c0", "c1"] as const;
/** As many of the newest tasks are shown in a reply. */
export const TASKS_SHOWN = 6;

/** Everything a reply has to show, of the parts of the room that the clients use. */
const LOOK = `elision=none&peek=true&messages_kind=task&messages_limit=${TASKS_SHOWN}`;

/** All that changed, however much. */
const LOOK_SINCE = "elision=none&peek=true&messages_kind=task&messages_limit=500&since=";

const ACTIONS = [
  { id: "put", writes: [{ key: "${params.key}", value: "${params.value}" }] },
  {
    id: "cas",
    writes: [{ key: "${params.key}", value: "${params.value}", if_version: "${params.expected}" }],
  },
  {
    id: "pair",
    writes: [{ key: "left", value: "${params.value}" }, { key: "right", value: "${params.value}" }],
  },
  { id: "inc", writes: [{ key: "${params.key}", increment: 1 }] },
];

function must(reply: Reply, ...statuses: number[]): Reply {
  if (statuses.includes(reply.status)) return reply;
  throw new Error(`an answer that nothing explains: ${reply.status} ${reply.text.slice(0, 400)}`);
}

/** Makes a room with the clients' actions and agents. */
export async function makeWorld(origin: string, room: string, clients: number): Promise<World> {
  const call = async (method: string, path: string, token?: string, body?: unknown) =>
    must(await send(method, origin + path, { token, body }), 200, 201).body;
  const { token: admin, view_token: view } = await call("POST", "/rooms", undefined, { id: room });
  for (const params of ACTIONS) {
    await call("POST", `/rooms/${room}/actions/_register_action/invoke`, admin, { params });
  }
  const agents: { id: string; token: string }[] = [];
  for (let i = 0; i < clients; i++) {
    const id = `a${i}`;
    agents.push({ id, token: (await call("POST", `/rooms/${room}/agents`, admin, { id })).token });
  }
  return { room, admin, view, agents, made: (await call("GET", `/rooms/${room}`, admin)).head };
}

/** A request, ready to be sent. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly body?: unknown;
}

type Entries = Readonly<Record<string, { value: unknown; _meta: { revision: number } }>>;

function cellOf(entry: { value: unknown; revision: number } | null | undefined): Cell {
  return entry ? { value: String(entry.value), revision: entry.revision } : ABSENT;
}

/** What a reply shows of the room; what it does not show is as in `base`, when there is one. */
function shownBy(body: Reply["body"], seq: number, base?: Shown): Shown {
  const entries = body.state._shared as Entries;
  const cell = (key: string, before?: Cell): Cell => {
    const entry = entries[key];
    if (!entry && before) return before;
    return cellOf(entry && { value: entry.value, revision: entry._meta.revision });
  };
  const [left, right] = [cell("left", base?.pair), cell("right", base?.pair)];
  const isWhole = left.value === right.value && left.revision === right.revision;
  const count = (key: string): number =>
    Number(entries[key]?.value ?? base?.counters.get(key) ?? 0);
  const tasks = body.messages.recent as { seq: number; claimed_by?: string | null }[];
  const holders = new Map(base?.holders ?? []);
  for (const task of tasks) holders.set(task.seq, task.claimed_by ?? null);
  return {
    seq,
    cells: new Map(REGISTERS.map((key) => [key, cell(key, base?.cells.get(key))])),
    counters: new Map(COUNTERS.map((key) => [key, count(key)])),
    pair: isWhole ? left : { value: `torn: ${left.value} ${right.value}`, revision: left.revision },
    holders: new Map([...holders].sort(([a], [b]) => a - b).slice(-TASKS_SHOWN)),
  };
}

function written(asked: Asked, body: Reply["body"]): Answer {
  const { seq, fence } = body as { seq: number; fence?: number };
  const write = body.writes?.[0] as Entries[string] | undefined;
  const isCounted = asked.kind === "inc";
  return {
    kind: "written",
    seq,
    ...(fence === undefined ? {} : { fence }),
    ...(write && isCounted ? { count: Number(write.value) } : {}),
    ...(write && !isCounted
      ? { cell: cellOf({ value: write.value, revision: write._meta.revision }) }
      : {}),
  };
}

/** What a reply says; undefined when it leaves open what happened. Throws for what nothing explains. */
export function answerOf(asked: Asked, reply: Reply): Answer | undefined {
  const { status, body } = reply;
  if (status === 503) return undefined;
  if (status === 409) {
    if (body.error === "version_conflict") {
      return { kind: "conflict", current: cellOf(body.current) };
    }
    if (body.error === "already_claimed") return { kind: "taken", by: body.claimed_by };
    if (body.error === "not_claimed") return { kind: "free" };
    if (body.error === "stale_fence") return { kind: "stale" };
  }
  must(reply, 200, 201);
  if (asked.kind === "read" || asked.kind === "wait") {
    const seq = Number(reply.headers.get("X-Sync-Seq"));
    const triggered = asked.kind === "wait" ? { triggered: body.triggered as boolean } : {};
    const isDelta = asked.kind === "read" && asked.via === "delta" && body.reset !== true;
    const shown = shownBy(body, seq, isDelta ? asked.base : undefined);
    return { kind: "shown", shown, ...triggered };
  }
  return written(asked, body);
}

function queryOf(asked: Asked & { kind: "read" }): string {
  if (asked.via === "poll") return "poll";
  const look = asked.via === "delta" ? `${LOOK_SINCE}${asked.base.seq}` : LOOK;
  return `context?only=state,messages&${look}`;
}

/** A call as a request. Waits end after `waitMs`. */
export function requestOf(
  { room, view }: World,
  { id, token }: { readonly id: string; readonly token: string },
  asked: Asked,
  waitMs: number,
): Request {
  if (asked.kind === "read") {
    return { method: "GET", path: `/rooms/${room}/${queryOf(asked)}`, token: view };
  }
  if (asked.kind === "wait") {
    const condition = encodeURIComponent(`state._shared.${asked.key}.value >= ${asked.atLeast}`);
    const query = `condition=${condition}&timeout=${waitMs}&include=state,messages&${LOOK}`;
    return { method: "GET", path: `/rooms/${room}/wait?${query}`, token };
  }
  const [action, body] = invocationOf(id, asked);
  return { method: "POST", path: `/rooms/${room}/actions/${action}/invoke`, token, body };
}

/** An action and the body of its invocation. */
function invocationOf(id: string, asked: Asked): [action: string, body: unknown] {
  switch (asked.kind) {
    case "send":
      return ["_send_message", { params: { kind: "task", body: id } }];
    case "claim": {
      const lease = asked.leaseMs === null ? {} : { lease_ms: asked.leaseMs };
      return ["_claim_message", { params: { seq: asked.task, ...lease } }];
    }
    case "release":
      return ["_release_message", { params: { seq: asked.task } }];
    case "work": {
      const { key, value, task, fence } = asked;
      return ["put", { params: { op: id, key, value }, fence: { message: task, fence } }];
    }
    default: {
      const { kind, ...params } = asked;
      return [kind, { params: { op: id, ...params } }];
    }
  }
}
