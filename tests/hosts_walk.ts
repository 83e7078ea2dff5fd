/**
 * A walk through the whole service over HTTP, as a host's users take it: rooms, agents, waits,
 * streams, MCP, documents, pages with all that they load, and a passkey.
 */
import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type Ask, type Reply, send } from "./harness.ts";
import { SoftAuthenticator } from "./soft_authenticator.ts";

const ROOT = new URL("../", import.meta.url);

/** A service somewhere. */
export interface Place {
  /** Where it answers. */
  readonly url: string;
  /** What it believes to be. */
  readonly origin: string;
  /** A token that may create rooms; none where anybody may. */
  readonly token?: string;
}

type Call = (method: string, path: string, ask?: Ask) => Promise<Reply>;

/** Walks through everything. Throws at the first thing that is not as it should be. */
export async function walk(place: Place, room: string): Promise<void> {
  const call: Call = (method, path, ask) => send(fetch, method, place.url + path, ask);
  for (const path of ["/healthz", "/readyz"]) {
    const reply = await call("GET", path);
    assert.equal(reply.status, 200, reply.text);
  }
  const admin = await walkRoom(call, place, room);
  await walkEvents(call, place, room, admin);
  await walkMcp(place, room, admin);
  await walkDocuments(call, place);
  await walkPages(call, room);
  await walkPasskey(call, place, `${room}-person`);
  const verified = await call("GET", `/rooms/${room}/verify`, { token: admin });
  assert.equal(verified.body?.ok, true, verified.text);
}

/** Makes a room, acts in it and waits; answers the admin's token. */
async function walkRoom(call: Call, place: Place, room: string): Promise<string> {
  const made = await call("POST", "/rooms", {
    token: place.token,
    body: { id: room, join: "token" },
  });
  assert.equal(made.status, 201, made.text);
  const admin: string = made.body.token;
  const tokens: string[] = [];
  for (const id of ["alice", "bob"]) {
    const joined = await call("POST", `/rooms/${room}/agents`, { token: admin, body: { id } });
    assert.equal(joined.status, 201, joined.text);
    tokens.push(joined.body.token);
  }
  const [alice, bob] = tokens;
  const invoke = (action: string, params: unknown, token = alice): Promise<Reply> =>
    call("POST", `/rooms/${room}/actions/${action}/invoke`, { token, body: { params } });
  const count = { id: "count", writes: [{ key: "n", increment: 1 }] };
  assert.equal((await invoke("_register_action", count, admin)).status, 201);
  const waiting = call(
    "GET",
    `/rooms/${room}/wait?condition=state._shared.n.value%3E%3D2&timeout=20000`,
    { token: bob },
  );
  for (let i = 0; i < 2; i++) assert.equal((await invoke("count", {})).status, 200);
  const woken = await waiting;
  assert.equal(woken.body?.triggered, true, woken.text);
  const context = await call("GET", `/rooms/${room}/context`, { token: bob });
  assert.equal(context.body?.state._shared.n.value, 2, context.text);
  return admin;
}

/** A stream tells of a write while it is open. */
async function walkEvents(call: Call, place: Place, room: string, token: string): Promise<void> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`${place.url}/rooms/${room}/events`, { headers });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("Content-Type") ?? "", /text\/event-stream/);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const sent = await call("POST", `/rooms/${room}/actions/_send_message/invoke`, {
    token,
    body: { params: { body: "told by stream" } },
  });
  assert.equal(sent.status, 201, sent.text);
  let text = "";
  while (!text.includes("told by stream") && !/"action":"_send_message"/.test(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the stream ended early: ${text}`);
    text += value;
  }
  await reader.cancel();
}

async function walkMcp({ url }: Place, room: string, token: string): Promise<void> {
  const client = new Client({ name: "walker", version: "1.0.0" }, {
    versionNegotiation: { mode: "auto" },
  });
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit }));
  const result = await client.callTool({ name: "sync_read_context", arguments: { room } });
  assert.notEqual(result.isError, true);
  assert.match(JSON.stringify(result.structuredContent), /"n":\{"value":2/);
  await client.close();
}

/** Every document reads as it lies in the repository, at this origin. */
async function walkDocuments(call: Call, place: Place): Promise<void> {
  const wanted = new Map([["/SKILL.md", "README.md"]]);
  for await (const { name } of Deno.readDir(new URL("reference/", ROOT))) {
    if (name.endsWith(".md")) wanted.set(`/reference/${name}`, `reference/${name}`);
  }
  for (const [path, file] of wanted) {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    const reply = await call("GET", path);
    const isSame = reply.text === text.replaceAll("http://localhost:8787", place.origin);
    assert.ok(isSame, `${path} does not read as ${file}; run \`deno task build\``);
  }
  const api = await call("GET", "/openapi.json");
  assert.equal(api.body?.info.title, "sync", api.text.slice(0, 200));
}

/** Pages answer, and so does everything they load, scripts that scripts import included. */
async function walkPages(call: Call, room: string): Promise<void> {
  const loaded = new Set<string>();
  const load = async (path: string): Promise<void> => {
    if (loaded.has(path)) return;
    loaded.add(path);
    const { status, text, headers } = await call("GET", path);
    assert.equal(status, 200, path);
    if (!/javascript/.test(headers.get("Content-Type") ?? "")) return;
    for (const [, name] of text.matchAll(/(?:from|import)\s*\(?"\.\/([^"]+\.js)"/g)) {
      await load(path.replace(/[^/]+$/, name!));
    }
  };
  for (const path of ["/", `/?room=${room}`, "/docs", "/docs/api", "/overview", "/auth/signin"]) {
    const page = await call("GET", path, { headers: { Accept: "text/html" } });
    assert.equal(page.status, 200, page.text.slice(0, 300));
    for (const [, link] of page.text.matchAll(/(?:src|href)="(\/(?:static|auth\/static)[^"]+)"/g)) {
      await load(link!);
    }
  }
  for (const part of [/app\.js$/, /landing\.js$/, /\.css$/, /icon\.svg$/, /dashboard\.png$/]) {
    assert.ok([...loaded].some((path) => part.test(path)), `${part} is loaded by no page`);
  }
  assert.ok([...loaded].filter((path) => path.endsWith(".js")).length > 3, "scripts import others");
}

/** A person registers with a passkey; off loopback the cookie is for https only. */
async function walkPasskey(call: Call, { origin }: Place, username: string): Promise<void> {
  const headers = { Origin: origin };
  const started = await call("POST", "/webauthn/register/options", { headers, body: { username } });
  assert.equal(started.status, 200, started.text);
  const key = new SoftAuthenticator(origin);
  const done = await call("POST", "/webauthn/register/verify", {
    headers,
    body: {
      challenge_id: started.body.challenge_id,
      response: await key.create(started.body.options),
    },
  });
  assert.equal(done.body?.verified, true, done.text);
}
