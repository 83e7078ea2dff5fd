/** What clients do: the rooms they set up, and the mixture of deeds, looks and waits. */
import type { Client, RoomRef } from "./clients.ts";
import {
  ACTIONS,
  type Gated,
  gatedAction,
  isGone,
  isThere,
  reaches,
  VIEW,
  viewReaches,
} from "./conditions.ts";
import { follow } from "./streams.ts";

const AGENTS = ["alice", "bob", "carol"];
const KEYS = ["0", "1"];

/** Makes a room with its agents and vocabulary; whatever the weather, it is insisted upon. */
export async function makeRoom(client: Client, name: string): Promise<RoomRef> {
  const { ledger } = client.world;
  const made = await client.insist({ method: "POST", path: "/rooms", body: { id: name } });
  const admin = (JSON.parse(made.text) as { token: string }).token;
  const [uid] = [...ledger.rooms].filter(([, kept]) => kept.name === name && !kept.isDeleted).at(
    -1,
  )!;
  const tokens: Record<string, string> = {};
  for (const id of AGENTS) {
    const path = `/rooms/${name}/agents`;
    const joined = await client.insist({ method: "POST", path, token: admin, body: { id } });
    tokens[id] = (JSON.parse(joined.text) as { token: string }).token;
  }
  const invoke = (action: string, params: unknown) =>
    client.insist({
      method: "POST",
      path: `/rooms/${name}/actions/${action}/invoke`,
      token: admin,
      body: { params },
    });
  for (const action of ACTIONS) await invoke("_register_action", action);
  const { seq } = await invoke("_register_view", VIEW);
  ledger.raise(uid, seq);
  return { name, uid, admin, tokens, messages: [] };
}

type Doing = (client: Client, room: RoomRef) => Promise<unknown>;

const keyed = (client: Client): { isKeyed: boolean } => ({ isKeyed: client.random.chance(0.6) });
const agentOf = (client: Client): string => client.random.pick(AGENTS);

const simple = (action: string): Doing => (client, room) =>
  client.deed(room, agentOf(client), action, { k: client.random.pick(KEYS) }, keyed(client));

const compareAndSet: Doing = async (client, room) => {
  const agent = agentOf(client), k = client.random.pick(KEYS);
  const path = `/rooms/${room.name}/context?only=state`;
  const token = room.tokens[agent]!;
  const found = await client.ask({ method: "GET", path, token });
  if (typeof found !== "object" || found.status !== 200) return;
  const { state } = JSON.parse(found.text) as {
    state: { _shared: Record<string, { _meta: { version: string } }> };
  };
  const ver = state._shared[`c_${k}`]?._meta.version ?? null;
  await client.world.scheduler.sleep(client.random.skewed(0, 100));
  await client.deed(room, agent, "cas", { k, v: client.fresh(), ver }, keyed(client));
};

const put: Doing = (client, room) => {
  const { random } = client;
  const params = { k: random.pick(KEYS), v: random.int(0, 9), ms: random.int(1, 3_000) };
  return client.deed(room, agentOf(client), "put", params, keyed(client));
};

const wind: Doing = (client, room) => {
  const { random } = client;
  const params = { k: random.pick(KEYS), v: random.int(0, 9), left: random.int(1, 4) };
  return client.deed(room, agentOf(client), "wind", params, keyed(client));
};

const register: Doing = async (client, room) => {
  const { random } = client;
  const id = `dyn${random.int(0, 1)}`;
  const k = random.pick(KEYS), isLenient = k === "0" && random.chance(0.5);
  const gated: Gated = { id, k, by: random.int(1, 3), above: random.int(-1, 8), isLenient };
  const action = gatedAction(gated);
  await client.deed(room, "admin", "_register_action", action, keyed(client));
  await client.deed(room, agentOf(client), id, { k: gated.k }, keyed(client));
};

const send: Doing = async (client, room) => {
  const sent = await client.deed(
    room,
    agentOf(client),
    "_send_message",
    { kind: "task" },
    keyed(client),
  );
  if (sent && sent.status < 300) room.messages.push(sent.seq);
};

const claim: Doing = async (client, room) => {
  const { random } = client;
  if (room.messages.length === 0) return void await send(client, room);
  const seq = random.pick(room.messages), agent = agentOf(client);
  const claimed = await client.deed(
    room,
    agent,
    "_claim_message",
    { seq, lease_ms: random.int(1_000, 4_000) },
    keyed(client),
  );
  if (claimed?.status !== 200 || random.chance(0.4)) return;
  await client.world.scheduler.sleep(random.skewed(0, 2_000));
  await client.deed(room, agent, "_release_message", { seq }, keyed(client));
};

const look: Doing = (client, room) => {
  const { random, world } = client;
  const agent = random.chance(0.2) ? "admin" : agentOf(client);
  const since = random.chance(0.4) ? random.int(1, world.ledger.floor(room.uid)) : undefined;
  return client.look(room, agent, undefined, since);
};

const wait: Doing = (client, room) => {
  const { random, world } = client;
  const timeout = random.int(50, 6_000), agent = agentOf(client);
  const counter = `n_${random.pick(KEYS)}`;
  const condition = random.pick([
    reaches(counter, random.int(1, 40)),
    viewReaches(random.int(1, 40)),
    isGone(`t_${random.pick(KEYS)}`),
    isThere(`t_${random.pick(KEYS)}`),
    isGone(`l_${random.pick(KEYS)}`),
  ]);
  const isSince = random.chance(0.3);
  const what = isSince
    ? { since: Math.max(1, world.ledger.floor(room.uid) - random.int(0, 2)) }
    : { condition };
  return client.wait(room, agent, what, timeout);
};

const stream: Doing = (client, room) => {
  const { random, world } = client;
  const after = random.int(0, world.ledger.floor(room.uid));
  return follow(client, room, agentOf(client), after, random.skewed(100, 8_000));
};

/** A race for one name without a token: the first one has it, and its token works. */
const join: Doing = async (client, room) => {
  const id = `guest${client.random.int(0, 3)}`;
  const path = `/rooms/${room.name}/agents`;
  const fetched = await client.ask({ method: "POST", path, body: { id } });
  if (typeof fetched !== "object" || fetched.status === 503) return;
  const { ledger } = client.world;
  if (fetched.status === 409) return;
  if (fetched.status !== 201) return ledger.blame(`joining answered ${fetched.text.slice(0, 200)}`);
  const name = `${room.name}/${id}`;
  if (ledger.guests.has(name)) ledger.blame(`${name} was given away twice`);
  ledger.guests.add(name);
  const { token } = JSON.parse(fetched.text) as { token: string };
  await client.deed(room, id, "mine", { k: "0" }, { isKeyed: true, token });
};

/** A room of the client's own: made, used, ended, and made again by the same name. */
const roomOfOnesOwn: Doing = async (client) => {
  const name = `own-${client.fresh()}`;
  const { world } = client;
  for (let life = 0; life < 2; life++) {
    const path = `/rooms/${name}`;
    const made = await client.ask({ method: "POST", path: "/rooms", body: { id: name } });
    if (typeof made !== "object" || made.status === 503) return;
    if (made.status !== 201) {
      return world.ledger.blame(`${name} answered ${made.text.slice(0, 200)}`);
    }
    const { token } = JSON.parse(made.text) as { token: string };
    const seen = await client.ask({ method: "GET", path: `${path}/context?only=state`, token });
    if (typeof seen !== "object" || seen.status === 503) return;
    if (seen.status !== 200 || seen.seq !== 1) {
      return world.ledger.blame(`${name} was shown at ${seen.seq}: ${seen.text.slice(0, 200)}`);
    }
    const ended = await client.ask({ method: "DELETE", path, token });
    if (typeof ended !== "object" || ended.status === 503) return;
    if (ended.status !== 200) return world.ledger.blame(`${name}: ${ended.text.slice(0, 200)}`);
    const after = await client.ask({ method: "GET", path: `${path}/context`, token });
    if (typeof after === "object" && after.status !== 401 && after.status !== 503) {
      world.ledger.blame(`${name} answered ${after.status} after its end`);
    }
  }
};

/** Several things at once. */
const rush: Doing = (client, room) => {
  const { random, world } = client;
  const one = async (): Promise<void> => {
    await world.scheduler.sleep(random.skewed(0, 300));
    await random.pick([simple("inc"), simple("take"), simple("drop"), put, look, look])(
      client,
      room,
    );
  };
  return Promise.all(Array.from({ length: random.int(3, 7) }, one));
};

const DOINGS: readonly (readonly [weight: number, of: Doing])[] = [
  [9, simple("inc")],
  [5, compareAndSet],
  [4, simple("take")],
  [3, simple("drop")],
  [3, put],
  [3, wind],
  [3, register],
  [2, simple("mine")],
  [2, send],
  [4, claim],
  [5, look],
  [7, wait],
  [2, stream],
  [4, rush],
  [2, join],
  [1, roomOfOnesOwn],
];

/** Does so many things, one after another. */
export async function live(
  client: Client,
  rooms: readonly RoomRef[],
  count: number,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const pause = client.random.chance(0.8)
      ? client.random.skewed(0, 200)
      : client.random.skewed(0, 3_000);
    await client.world.scheduler.sleep(pause);
    await client.random.weighted(DOINGS)(client, client.random.pick(rooms));
  }
}
