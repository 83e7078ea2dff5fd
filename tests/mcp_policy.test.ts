/** Every tool against every kind of credential, compared with the policy table; and its form. */
import assert from "node:assert/strict";
import { TOOLS } from "../mcp/tools.ts";
import { listed } from "../mcp/schema.ts";
import { VERBS } from "../policy.ts";
import { type JsonObject, LEVEL } from "../types.ts";
import { findGrant, replaceScope } from "../store/tokens.ts";
import {
  makeRoom,
  makeUser,
  startService,
  SYSTEM_CLOCK,
  type TestService,
  userToken,
} from "./harness.ts";
import { Agent, call, ERAS } from "./mcp_world.ts";

/** An actor that nobody has registered: policy lets everybody ask. */
const NO_ACTOR = "did:sync:agent:nobody";

/** Arguments with which a tool gets past policy; a tool without a row fails the test. */
const ARGS: Readonly<Record<string, (room: string, n: number) => JsonObject>> = {
  sync_lobby: () => ({}),
  sync_list_rooms: () => ({}),
  sync_create_room: (_room, n) => ({ id: `made-${n}` }),
  sync_join_room: (room, n) => ({ room, id: `joiner-${n}` }),
  sync_embody: (room) => ({ room }),
  sync_disembody: (room) => ({ room }),
  sync_restrict_scope: (room) => ({ room, level: "read" }),
  sync_revoke_access: (room) => ({ room }),
  sync_read_context: (room) => ({ room }),
  sync_wait: (room) => ({ room, timeout: 0 }),
  sync_help: (room) => ({ room }),
  sync_eval_cel: (room) => ({ room, expr: "1 + 1" }),
  sync_history: (room) => ({ room }),
  sync_replay: (room) => ({ room, seq: 1 }),
  sync_review_vocabulary: (room) => ({ room }),
  sync_invoke_action: (room) => ({ room, action: "set", params: {} }),
  sync_register_action: (room, n) => ({ room, id: `act-${n}`, writes: [{ key: "k", value: 1 }] }),
  sync_register_view: (room, n) => ({ room, id: `view-${n}`, expr: "1" }),
  sync_delete_action: (room) => ({ room, id: "none" }),
  sync_delete_view: (room) => ({ room, id: "none" }),
  sync_send_message: (room) => ({ room, body: "hello" }),
  sync_claim_message: (room) => ({ room, seq: 99_999 }),
  sync_judge: (room) => ({ room, subject: 1, verdict: "accept" }),
  sync_remember: (_room, n) => ({ actor: NO_ACTOR, name: `note-${n}`, body: "x" }),
  sync_recall: () => ({ actor: NO_ACTOR }),
  sync_forget: () => ({ actor: NO_ACTOR, name: "note" }),
  sync_actor: () => ({ actor: NO_ACTOR }),
};

/** How far each credential reaches into the room. */
const REACH = {
  room: LEVEL.admin,
  view: LEVEL.read,
  as: LEVEL.write,
  owner: LEVEL.admin,
  "owner:write": LEVEL.write,
  "owner:read": LEVEL.read,
  "owner:bound": LEVEL.write,
  observer: LEVEL.read,
  participant: LEVEL.write,
  stranger: LEVEL.none,
  elsewhere: LEVEL.none,
} as const;
type Kind = keyof typeof REACH;

async function tokenOf(
  on: TestService,
  kind: Kind,
  n: number,
): Promise<{ room: string; token: string }> {
  const room = await makeRoom(on, ["alice"], { join: "token" });
  const user = `user-${n}`;
  if (kind === "room") return { room: room.id, token: room.admin };
  if (kind === "view") return { room: room.id, token: room.view };
  if (kind === "as") return { room: room.id, token: room.agents["alice"]! };
  const role = kind.startsWith("owner") || kind === "elsewhere"
    ? "owner"
    : kind === "observer" || kind === "participant"
    ? kind
    : undefined;
  await makeUser(on, user, role ? { [room.id]: role } : {});
  const scopes: Partial<Record<Kind, string>> = {
    "owner:write": `rooms:${room.id}:write`,
    "owner:read": `rooms:${room.id}:read`,
    "owner:bound": `rooms:${room.id}:agent:me-${n}`,
    elsewhere: "rooms:some-other-room",
  };
  return { room: room.id, token: await userToken(on, user, scopes[kind] ?? "rooms:*") };
}

const REFUSALS = new Set([
  "scope_denied",
  "read_only_token",
  "room_not_found",
  "authentication_required",
  "room_token_required",
]);

/** Was the call refused for who called? */
function isRefused(reply: { status: number; body: JsonObject }): boolean {
  if (reply.status === 401 || reply.status === 403) return true;
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  const result = reply.body["result"] as { isError?: boolean; content: { text: string }[] };
  if (!result.isError) return false;
  const { error } = JSON.parse(result.content[0]!.text) as { error: string };
  assert.notEqual(error, "internal", result.content[0]!.text);
  return REFUSALS.has(error);
}

Deno.test("every tool takes what the policy table says, from every kind of credential", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  // Not made on the machine itself: creating rooms takes the scope.
  const away = { "X-Forwarded-For": "203.0.113.7" };
  let n = 0;
  for (const tool of TOOLS) {
    const args = ARGS[tool.name];
    assert.ok(args, `${tool.name} has no row in this table`);
    for (const kind of Object.keys(REACH) as Kind[]) {
      n++;
      const { room, token } = await tokenOf(on, kind, n);
      const reply = await call(on, token, tool.name, args(room, n), away);
      const { verb } = tool;
      const wanted = verb === "open" || verb === "token" ? verb : VERBS[verb];
      const level = verb === "agent.join" ? LEVEL.write : LEVEL[wanted as "read"];
      const isAllowed = wanted === "token" || (wanted !== "open" && REACH[kind] >= level);
      assert.equal(
        isRefused(reply),
        !isAllowed,
        `${tool.name} by ${kind}: ${reply.text.slice(0, 300)}`,
      );
    }
    const { room } = await tokenOf(on, "room", n);
    assert.equal((await call(on, undefined, tool.name, args(room, n))).status, 401, tool.name);
    assert.equal((await call(on, "tok_unknown-token", tool.name, args(room, n))).status, 401);
  }
  await on.close();
});

for (const era of ERAS) {
  Deno.test(`${era}: a call beyond the token's scope is 403 with all scopes and the link; the same token works after`, async () => {
    const on = await startService();
    const room = await makeRoom(on);
    await makeUser(on, "alice", { [room.id]: "owner" });
    const token = await userToken(on, "alice", `rooms:${room.id}:read create_rooms`);
    const alice = await Agent.connect(on, token, era);
    await alice.do("sync_read_context", { room: room.id });
    const failure = await alice.tell("sync_embody", { room: room.id, agent: "alice" }).catch((
      error,
    ) => error);
    assert.equal(failure.name, "InsufficientScopeError", String(failure));
    assert.match(failure.errorDescription, /auth\/elevate\?request=/);
    const raw = await call(on, token, "sync_embody", { room: room.id, agent: "alice" });
    const challenge = raw.headers.get("WWW-Authenticate")!;
    assert.match(challenge, /error="insufficient_scope"/);
    for (const word of [`rooms:${room.id}:read`, `rooms:${room.id}:write`, "create_rooms"]) {
      assert.ok(/scope="([^"]*)"/.exec(challenge)![1]!.split(" ").includes(word), challenge);
    }
    assert.match(
      challenge,
      /resource_metadata="http:\/\/localhost:8787\/.well-known\/oauth-protected-resource\/mcp"/,
    );
    const [grant] = (await on.service.deps.auth.bySecret(token)).lineage;
    const { id, scope: from } = (await findGrant(on.service.store, grant!.id))!;
    const wider = `rooms:${room.id}:write create_rooms`;
    assert.ok(await replaceScope(on.service.store, id, from, wider, null));
    on.service.deps.auth.forget();
    const context = await alice.do("sync_embody", { room: room.id, agent: "alice" });
    assert.equal(context._session.level, "write");
    await alice.close();
    await on.close();
  });
}

Deno.test("creating rooms without create_rooms asks for that scope beside the token's own", async () => {
  const on = await startService({ env: { SYNC_ROOM_CREATION: "token" } });
  const token = await userToken(on, "alice", "rooms:*:read");
  const reply = await call(on, token, "sync_create_room", {});
  assert.equal(reply.status, 403);
  assert.match(reply.headers.get("WWW-Authenticate")!, /scope="rooms:\*:read create_rooms"/);
  await on.close();
});

Deno.test("levels hold after embodying: narrowing and revoking change the token itself", async () => {
  const on = await startService();
  const room = await makeRoom(on), other = await makeRoom(on);
  await makeUser(on, "alice", { [room.id]: "owner", [other.id]: "owner" });
  const token = await userToken(on, "alice", "rooms:*");
  const alice = await Agent.connect(on, token, "2026-07-28");
  await alice.do("sync_embody", { room: room.id, agent: "alice" });
  await alice.do("sync_embody", { room: other.id, agent: "al" });
  const narrowed = await alice.do("sync_restrict_scope", {
    room: room.id,
    level: "write",
    agent: "alice",
  });
  assert.match(narrowed.scope, new RegExp(`rooms:${room.id}:agent:alice`));
  const asBob = await alice.tell("sync_embody", { room: room.id, agent: "bob" });
  assert.equal(asBob.body.error, "identity_mismatch");
  assert.equal((await alice.do("sync_send_message", { room: room.id, body: 1 })).from, "alice");
  await alice.do("sync_restrict_scope", { room: room.id, level: "read" });
  assert.equal(
    (await call(on, token, "sync_send_message", { room: room.id, body: 1 })).status,
    403,
  );
  const widened = await alice.tell("sync_restrict_scope", { room: room.id, level: "write" });
  assert.equal(widened.body.error, "scope_exceeds_token");
  assert.equal((await alice.do("sync_send_message", { room: other.id, body: 1 })).from, "al");
  await alice.do("sync_revoke_access", { room: room.id });
  const gone = await call(on, token, "sync_read_context", { room: room.id });
  assert.equal(gone.status, 403);
  const http = await on.call("GET", `/rooms/${room.id}/context`, { token });
  assert.equal(http.status, 403, "the token row was not changed");
  await alice.close();
  await on.close();
});

Deno.test("nobody binds a token to somebody else's agent by narrowing it", async () => {
  const on = await startService();
  const room = await makeRoom(on, ["bob"]);
  await makeUser(on, "eve", { [room.id]: "participant" });
  const eve = await Agent.connect(on, await userToken(on, "eve", "rooms:*"), "2026-07-28");
  const told = await eve.tell("sync_restrict_scope", {
    room: room.id,
    level: "write",
    agent: "bob",
  });
  assert.equal(told.body.error, "identity_mismatch");
  await eve.close();
  await on.close();
});

Deno.test("the tool list stays under 6000 tokens, each tool described, typed both ways and annotated", () => {
  const list = TOOLS.map((tool) => {
    const form = (io: "input" | "output", told = {}): Record<string, unknown> =>
      listed(tool[io], io, told)["~standard"].jsonSchema[io]({ target: "draft-2020-12" });
    const { name, title, description, annotations } = tool;
    const inputSchema = form("input", tool.told), outputSchema = form("output");
    assert.match(name, /^sync_[a-z_]+$/);
    assert.ok(description.length > 10);
    assert.equal(inputSchema["type"], "object");
    assert.equal(outputSchema["type"], "object");
    assert.doesNotMatch(JSON.stringify(outputSchema), /"null"/, `${name} answers "or null"`);
    return { name, title, description, annotations, inputSchema, outputSchema };
  });
  assert.equal(new Set(list.map(({ name }) => name)).size, list.length);
  assert.ok(JSON.stringify(list).length / 4 < 6_000);
});
