/** Identity in the whole service: tokens, roles, consent and elevation over the real room doors. */
import assert from "node:assert/strict";
import { startService, type TestService } from "./harness.ts";
import { askOf, Browser, hiddenField, type Site } from "./identity_world.ts";

function siteOf(on: TestService): Site {
  return {
    ask: (path, ask) => askOf(on.service.fetch, path, ask),
    deps: { config: on.service.deps.config },
  };
}

async function person(site: Site, username: string): Promise<Browser> {
  const browser = new Browser(site);
  const made = await browser.register(username);
  assert.equal(made.status, 200, made.text);
  return browser;
}

async function mint(browser: Browser, scope: string): Promise<{ id: string; token: string }> {
  const made = await browser.call("/tokens", { scope });
  assert.equal(made.status, 201, made.text);
  return made.body;
}

async function started() {
  const on = await startService({ env: { SYNC_ROOM_CREATION: "token" } });
  const site = siteOf(on);
  const alice = await person(site, "alice");
  return { on, site, alice };
}

Deno.test("The quick start of the skill text: device, consent, a room of one's own, an agent, context", async () => {
  const { on, site, alice } = await started();
  const device = (await site.ask("/auth/device", { json: { scope: "rooms:* create_rooms" } })).body;
  const page = await alice.ask(
    new URL(device.verification_uri_complete).pathname +
      new URL(device.verification_uri_complete).search,
  );
  assert.equal(page.status, 200, page.text);
  await alice.submit("/auth/consent", {
    user_code: device.user_code,
    create_rooms: "on",
    decision: "approve",
  });
  const { access_token: token, scope } =
    (await site.ask("/auth/device/token", { json: { device_code: device.device_code } })).body;
  assert.equal(scope, "create_rooms");
  assert.equal((await site.ask("/rooms", { json: { id: "nobody" } })).status, 401);
  const made = await site.ask("/rooms", { token, json: { id: "my-room" } });
  assert.equal(made.status, 201, made.text);
  const list = (await site.ask("/tokens", { token })).body.tokens;
  assert.ok(
    list.some((grant: { scope: string }) =>
      grant.scope.includes("rooms:my-room") && grant.scope.includes("create_rooms")
    ),
    "the token gained the room it made",
  );
  const joined = await site.ask("/rooms/my-room/agents", {
    token,
    json: { id: "alice", name: "Alice" },
  });
  assert.equal(joined.status, 201, joined.text);
  const context = await site.ask("/rooms/my-room/context", { token });
  assert.equal(context.status, 200, context.text);
  assert.equal((await alice.ask("/manage")).text.includes("Dashboard of my-room"), true);
  await on.close();
});

Deno.test("scope_denied carries a link; its user approves; the same token works on retry", async () => {
  const { on, site, alice } = await started();
  const { token } = await mint(alice, "create_rooms");
  await site.ask("/rooms", { token, json: { id: "r" } });
  const narrow = await mint(alice, "rooms:r:read");
  const send = () =>
    site.ask("/rooms/r/actions/_send_message/invoke", {
      token: narrow.token,
      json: { params: { body: "hi" }, agent: "scout" },
    });
  const join = () => site.ask("/rooms/r/agents", { token: narrow.token, json: { id: "scout" } });
  const denied = await send();
  assert.equal(denied.status, 403, denied.text);
  assert.equal(denied.body.error, "scope_denied");
  assert.equal(denied.body.room, "r");
  const link = new URL(denied.body.elevate);
  assert.equal(link.origin + link.pathname, "http://localhost:8787/auth/elevate");
  const page = await alice.ask(link.pathname + link.search);
  const request = hiddenField(page.text, "request");
  const bob = await person(site, "bob");
  assert.equal((await bob.ask(link.pathname + link.search)).status, 403);
  await alice.submit("/auth/consent", { request, level: "write", decision: "approve" });
  const joined = await join();
  assert.equal(joined.status, 201, joined.text);
  assert.equal((await send()).status, 201);
  const patched = await alice.call(`/tokens/${narrow.id}`, { scope: "rooms:r:read" }, "PATCH");
  assert.equal(patched.status, 200);
  assert.equal((await send()).status, 403, "narrowed at once");
  const wasChild = await site.ask("/rooms/r/actions/_send_message/invoke", {
    token: joined.body.token,
    json: { params: { body: "hi" } },
  });
  assert.equal(wasChild.status, 403, "and so is the agent's token that came of it");
  await alice.call(`/tokens/${narrow.id}`, {}, "DELETE");
  assert.equal((await send()).status, 401, "revoked at once");
  const dead = await site.ask("/rooms/r/context", { token: joined.body.token });
  assert.equal(dead.status, 401);
  await on.close();
});

Deno.test("Every door that refuses for want of scope shows the link", async () => {
  const { on, site, alice } = await started();
  const { token } = await mint(alice, "create_rooms");
  await site.ask("/rooms", { token, json: { id: "r" } });
  const { token: other } = await mint(alice, "create_rooms");
  const { token: reader } = await mint(alice, "rooms:r:read");
  const doors: [string, string, string, unknown?][] = [
    [other, "GET", "/rooms/r"],
    [other, "GET", "/rooms/r/context"],
    [other, "GET", "/rooms/r/wait?condition=true"],
    [other, "GET", "/rooms/r/events"],
    [other, "GET", "/rooms/r/log"],
    [other, "GET", "/rooms/r/poll"],
    [other, "POST", "/rooms/r/eval", { expr: "1" }],
    [reader, "POST", "/rooms/r/agents", { id: "scout" }],
    [reader, "POST", "/rooms/r/actions/_send_message/invoke", { params: { body: "x" } }],
    [reader, "PATCH", "/rooms/r", { label: "x" }],
    [reader, "POST", "/rooms/r/invite", { username: "alice" }],
    [reader, "GET", "/rooms/r/members"],
    [reader, "POST", "/rooms/r/rotate-view-token", {}],
    [reader, "POST", "/rooms/r/fork", {}],
    [reader, "DELETE", "/rooms/r"],
  ];
  const without: string[] = [];
  for (const [secret, method, path, json] of doors) {
    const reply = await site.ask(path, {
      token: secret,
      method,
      ...(json === undefined ? {} : { json }),
    });
    const isRight = reply.status === 403 && reply.body?.error === "scope_denied" &&
      reply.body.elevate?.includes("/auth/elevate?request=");
    if (!isRight) without.push(`${method} ${path}: ${reply.status} ${reply.text.slice(0, 120)}`);
  }
  assert.deepEqual(without, []);
  await on.close();
});

Deno.test("Rights follow the current role: invited, raised, lowered, removed", async () => {
  const { on, site, alice } = await started();
  const { token } = await mint(alice, "create_rooms");
  await site.ask("/rooms", { token, json: { id: "r" } });
  const bob = await person(site, "bob");
  const wild = (await mint(bob, "rooms:*")).token;
  const status = async (path: string, json?: unknown) =>
    (await site.ask(path, { token: wild, ...(json === undefined ? {} : { json }) })).status;
  const absent = await site.ask("/rooms/absent/context", { token: wild });
  const foreign = await site.ask("/rooms/r/context", { token: wild });
  assert.equal(foreign.status, 404);
  assert.deepEqual({ ...foreign.body, room: "", message: "" }, {
    ...absent.body,
    room: "",
    message: "",
  });
  const invited = await site.ask("/rooms/r/invite", {
    token,
    json: { username: "bob", role: "observer" },
  });
  assert.equal(invited.status, 200, invited.text);
  assert.equal(await status("/rooms/r/context"), 200);
  assert.equal(await status("/rooms/r/agents", { id: "b" }), 403);
  const raise = await site.ask("/rooms/r/members/bob", {
    token,
    method: "PATCH",
    json: { role: "participant" },
  });
  assert.equal(raise.status, 200, raise.text);
  assert.equal(await status("/rooms/r/agents", { id: "b" }), 201);
  assert.equal(await status("/rooms/r/rotate-view-token", {}), 403);
  await site.ask("/rooms/r/members/bob", { token, method: "DELETE" });
  assert.equal(await status("/rooms/r/context"), 404);
  const refused = await bob.call("/tokens", { scope: "rooms:r:read" });
  assert.equal(refused.body.error, "scope_exceeds_access");
  await on.close();
});

Deno.test("A binding made before an agent came is no key to somebody else's agent of that name", async () => {
  const { on, site, alice } = await started();
  const { token } = await mint(alice, "create_rooms");
  await site.ask("/rooms", { token, json: { id: "r", join: "token" } });
  const bob = await person(site, "bob");
  await site.ask("/rooms/r/invite", { token, json: { username: "bob", role: "participant" } });
  const trap = (await mint(bob, "rooms:r:agent:scout")).token;
  const joined = await site.ask("/rooms/r/agents", {
    token,
    json: { id: "scout", state: { secret: "the-hidden-word" } },
  });
  assert.equal(joined.status, 201, joined.text);
  const peek = await site.ask("/rooms/r/context", { token: trap });
  assert.equal(peek.text.includes("the-hidden-word"), false, "its private scope stays private");
  const forged = await site.ask("/rooms/r/actions/_send_message/invoke", {
    token: trap,
    json: { params: { body: "x" } },
  });
  assert.equal(forged.status, 403, forged.text);
  assert.equal(
    (await site.ask("/rooms/r/agents", { token: trap, json: { id: "scout" } })).status >= 400,
    true,
  );
  await on.close();
});

Deno.test("Tokens bound to another resource are no tokens here; wrong methods are 405 with Allow", async () => {
  const { on, site, alice } = await started();
  const made = await mint(alice, "rooms:*");
  await on.service.store.run([{
    sql: "UPDATE token_grant SET resource = 'https://other.example' WHERE id = :id",
    args: { id: made.id },
  }]);
  on.service.deps.auth.forget();
  assert.equal((await site.ask("/rooms", { token: made.token })).status, 401);
  for (
    const [method, path, allow] of [
      ["GET", "/oauth/token", "POST"],
      ["DELETE", "/tokens", "POST, GET"],
      ["PUT", "/auth/device", "GET, POST"],
      ["POST", "/me", "GET"],
    ] as const
  ) {
    const reply = await site.ask(path, { method });
    assert.equal(reply.status, 405, `${method} ${path}: ${reply.text}`);
    assert.deepEqual(new Set(reply.headers.get("Allow")!.split(", ")), new Set(allow.split(", ")));
    assert.equal(reply.body.error, "method_not_allowed");
  }
  const bad = await site.ask("/tokens", {
    raw: "{",
    headers: { "X-CSRF-Token": alice.csrf, Cookie: alice.cookie, Origin: "http://localhost:8787" },
  });
  assert.equal(bad.body.error, "invalid_json");
  assert.ok(bad.headers.get("X-Request-Id"));
  await on.close();
});

Deno.test("/manage creates, shares and deletes rooms through the domain's own calls", async () => {
  const { on, site, alice } = await started();
  await person(site, "bob");
  const made = await alice.submit("/manage/rooms", { id: "garden", label: "The garden" });
  assert.equal(made.headers.get("Location"), "/manage/room?room=garden", made.text);
  await alice.submit("/manage/room/invite", { room: "garden", username: "Bob", role: "observer" });
  const page = await alice.ask("/manage/room?room=garden");
  assert.match(page.text, /Member bob/);
  assert.equal(
    (await alice.submit("/manage/room/role", {
      room: "garden",
      username: "bob",
      role: "participant",
    })).status,
    303,
  );
  assert.equal(
    (await alice.submit("/manage/room/remove", { room: "garden", username: "alice" })).status,
    409,
  );
  assert.equal(
    (await alice.submit("/manage/room/remove", { room: "garden", username: "bob" })).status,
    303,
  );
  assert.equal(
    (await alice.submit("/manage/room/delete", { room: "garden", confirm: "no" })).status,
    400,
  );
  assert.equal(
    (await alice.submit("/manage/room/delete", { room: "garden", confirm: "garden" })).status,
    303,
  );
  assert.doesNotMatch((await alice.ask("/manage")).text, /garden/);
  await on.close();
});

Deno.test("Every JSON answer, by whichever door, names the version and is kept by nobody", async () => {
  const { on, site, alice } = await started();
  const asked = [
    await alice.ask("/me"),
    await site.ask("/me"),
    await site.ask("/webauthn/login/options", { json: {} }),
    await site.ask("/webauthn/register/options", { json: { username: "carol" } }),
    await site.ask("/auth/device", { json: {} }),
    await site.ask("/auth/device/token", { json: { device_code: "dev_none" } }),
    await site.ask("/tokens"),
    await site.ask("/oauth/token", { form: { grant_type: "authorization_code" } }),
    await site.ask("/oauth/register", { json: {} }),
    await site.ask("/.well-known/oauth-authorization-server"),
    await site.ask("/.well-known/oauth-protected-resource/mcp"),
    await site.ask("/mcp", { json: { jsonrpc: "2.0", id: 1, method: "tools/list" } }),
    await site.ask("/nowhere", { headers: { Accept: "application/json" } }),
    await site.ask("/openapi.json"),
  ];
  for (const { headers, text } of asked) {
    assert.match(headers.get("Content-Type") ?? "", /json/, text);
    assert.match(headers.get("X-Sync-Version") ?? "", /^v\d+$/, text);
    assert.match(headers.get("X-Request-Id") ?? "", /^req_/, text);
    assert.equal(headers.get("X-Content-Type-Options"), "nosniff", text);
    assert.match(headers.get("Cache-Control") ?? "", /no-store|max-age/, text);
  }
  await on.close();
});
