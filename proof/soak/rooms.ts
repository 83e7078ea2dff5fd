/** The rooms of a soak: made over HTTP like anybody's, and asked at the end whether they add up. */
import type { RequestSpec } from "../client.ts";
import type { Caller } from "./caller.ts";

const EXPIRES_MS = 5_000;

/** A room that stays for the whole soak, its two agents, and what was done to it. */
export interface Home {
  readonly id: string;
  readonly admin: string;
  readonly alice: string;
  readonly bob: string;
  /** Increments that were acknowledged, and those whose outcome nobody knows. */
  added: number;
  unknown: number;
  /** The newest record that was heard of. */
  seq: number;
}

const ACTIONS: readonly unknown[] = [
  {
    id: "add",
    if: '!("count" in state._shared) || state._shared.count.value < 1000000000',
    writes: [{ key: "count", increment: 1 }],
  },
  {
    id: "put",
    params: { n: { type: "number" } },
    writes: [{
      key: "k${params.n}",
      value: { n: "${params.n}", by: "${self}", text: "some text as agents leave it" },
    }],
  },
  {
    id: "arm",
    params: { n: { type: "number" } },
    writes: [{
      key: "t${params.n}",
      value: "${params.n}",
      timer: { ms: EXPIRES_MS, effect: "delete" },
    }],
  },
  {
    id: "ring",
    params: { slot: { type: "number" }, n: { type: "number" } },
    writes: [{ key: "bell-${params.slot}", value: "${params.n}" }],
  },
];

/** An invocation in a room. */
export function invocation(
  room: string,
  token: string,
  action: string,
  params: unknown,
): RequestSpec {
  return {
    method: "POST",
    path: `/rooms/${room}/actions/${action}/invoke`,
    token,
    body: { params },
  };
}

/** Makes a room with two agents and its actions. */
export async function openHome(caller: Caller, id: string): Promise<Home> {
  const post = { method: "POST" } as const;
  const room = await caller.ask<{ token: string }>({ ...post, path: "/rooms", body: { id } });
  const join = async (agent: string): Promise<string> => {
    const path = `/rooms/${id}/agents`;
    return (await caller.ask<{ token: string }>({ ...post, path, body: { id: agent } })).token;
  };
  const [alice, bob] = [await join("alice"), await join("bob")];
  for (const action of ACTIONS) {
    await caller.ask(invocation(id, alice, "_register_action", action));
  }
  await caller.ask(invocation(id, alice, "put", { n: 0 }));
  return { id, admin: room.token, alice, bob, added: 0, unknown: 0, seq: 0 };
}

/** What does not add up in a room: a count that is not what was acknowledged, a broken log. */
export async function faultsOf(caller: Caller, home: Home): Promise<string[]> {
  const { state } = await caller.ask<{ state: { _shared: { count?: { value: number } } } }>({
    method: "GET",
    path: `/rooms/${home.id}/context?only=state._shared&expand=_shared.count&peek=true`,
    token: home.alice,
  });
  const count = state._shared.count?.value ?? 0;
  const faults: string[] = [];
  if (count < home.added || count > home.added + home.unknown) {
    faults.push(`${home.id}: ${home.added} increments acknowledged, the count is ${count}`);
  }
  const { ok } = await caller.ask<{ ok: boolean }>({
    method: "GET",
    path: `/rooms/${home.id}/verify`,
    token: home.alice,
  });
  if (!ok) faults.push(`${home.id}: its log does not verify`);
  return faults;
}
