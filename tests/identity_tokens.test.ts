/** `/tokens`: mint, list, change, revoke, refresh; and what a narrow token cannot. */
import assert from "node:assert/strict";
import { carryOut, parseOrder } from "../bin/token.ts";
import { note } from "../oauth/audit.ts";
import { sweepIdentity } from "../oauth/sweep.ts";
import { mint } from "../tokens.ts";
import { Browser, signedIn, type World } from "./identity_world.ts";

const HOUR = 3_600_000, DAY = 24 * HOUR;

async function minted(browser: Browser, body: Record<string, unknown>) {
  const reply = await browser.call("/tokens", body);
  assert.equal(reply.status, 201, reply.text);
  return reply.body as {
    id: string;
    token: string;
    refresh_token?: string;
    scope: string;
    expires_at: string;
  };
}

/** Does the token open anything? */
async function isAlive(world: World, token: string): Promise<boolean> {
  return (await world.ask("/tokens", { token })).status === 200;
}

Deno.test("A session mints a token; it is shown once, listed without its secret, and lives an hour", async () => {
  const { world, browser } = await signedIn();
  const made = await minted(browser, { scope: "create_rooms rooms:*:read", label: "My laptop" });
  assert.match(made.token, /^tok_[A-Za-z0-9_-]{43}$/);
  assert.equal(made.scope, "rooms:*:read create_rooms");
  assert.equal(made.expires_at, new Date(world.now + HOUR).toISOString());
  const list = await world.ask("/tokens", { token: made.token });
  assert.equal(list.body.total, 1);
  assert.equal(list.body.returned, 1);
  assert.equal(list.body.tokens[0].label, "My laptop");
  assert.equal(list.text.includes(made.token), false);
  world.now += HOUR - 1;
  assert.equal(await isAlive(world, made.token), true);
  world.now += 1;
  assert.equal(await isAlive(world, made.token), false);
  await world.close();
});

Deno.test("Minting by session is bounded by the user's role in each room", async (t) => {
  const { world, browser } = await signedIn("alice");
  const bob = new Browser(world);
  await bob.register("bob");
  const me = browser.user.id;
  await world.room("mine", { [me]: "owner" }, { helper: me, theirs: bob.user.id });
  await world.room("work", { [me]: "collaborator", [bob.user.id]: "owner" }, {
    helper: me,
    theirs: bob.user.id,
  });
  await world.room("seen", { [me]: "observer", [bob.user.id]: "owner" });
  await world.room("other", { [bob.user.id]: "owner" });
  const table: [string, number, string?][] = [
    ["", 201],
    ["rooms:* create_rooms", 201],
    ["rooms:mine", 201],
    ["rooms:mine:agent:theirs", 201],
    ["rooms:work:write", 201],
    ["rooms:work:agent:helper", 201],
    ["rooms:work:agent:newcomer", 201],
    ["rooms:work:agent:theirs", 403, "scope_exceeds_access"],
    ["rooms:work", 403, "scope_exceeds_access"],
    ["rooms:seen:read", 201],
    ["rooms:seen:write", 403, "scope_exceeds_access"],
    ["rooms:seen:agent:x", 403, "scope_exceeds_access"],
    ["rooms:other:read", 403, "scope_exceeds_access"],
    ["rooms:no-such-room:read", 403, "scope_exceeds_access"],
    ["rooms:*:admin", 400, "invalid_scope"],
    ["everything", 400, "invalid_scope"],
    ["rooms:*:agent:x", 400, "invalid_scope"],
    ["rooms:work:agent:a rooms:work:agent:b", 400, "invalid_scope"],
  ];
  for (const [scope, status, error] of table) {
    await t.step(scope || "(empty)", async () => {
      const before = await world.count("token_grant");
      const reply = await browser.call("/tokens", { scope });
      assert.equal(reply.status, status, reply.text);
      assert.equal(reply.body.error, error);
      assert.equal(await world.count("token_grant"), before + (status === 201 ? 1 : 0));
    });
  }
  const missing = await browser.call("/tokens", { scope: "rooms:other" });
  const absent = await browser.call("/tokens", { scope: "rooms:absent" });
  assert.deepEqual(
    Object.keys(missing.body),
    Object.keys(absent.body),
    "a foreign room looks like none",
  );
  await world.close();
});

Deno.test("A token mints only within its own reach and its agent binding", async (t) => {
  const { world, browser } = await signedIn();
  const me = browser.user.id;
  await world.room("a", { [me]: "owner" });
  await world.room("b", { [me]: "owner" });
  const table: [string, string, number][] = [
    ["rooms:a", "rooms:a:write", 201],
    ["rooms:a", "rooms:a:agent:x", 201],
    ["rooms:a", "rooms:b:read", 403],
    ["rooms:a", "rooms:*:read", 403],
    ["rooms:a", "create_rooms", 403],
    ["rooms:a:read", "rooms:a:write", 403],
    ["rooms:a:agent:x", "rooms:a:agent:x", 201],
    ["rooms:a:agent:x", "rooms:a:agent:y", 403],
    ["rooms:a:agent:x", "rooms:a:write", 403],
    ["rooms:a:agent:x", "rooms:a:read", 201],
    ["", "rooms:a:read", 403],
    ["rooms:* create_rooms", "rooms:b create_rooms", 201],
  ];
  for (const [parent, child, status] of table) {
    await t.step(`${parent || "(empty)"} mints ${child}`, async () => {
      const { token } = await minted(browser, { scope: parent });
      const reply = await world.ask("/tokens", { token, json: { scope: child } });
      assert.equal(reply.status, status, reply.text);
      if (status === 403) assert.equal(reply.body.error, "scope_exceeds_token");
    });
  }
  await world.close();
});

Deno.test("A token lists, changes and revokes only what it covers; wider siblings do not exist for it", async () => {
  const { world, browser } = await signedIn();
  const me = browser.user.id;
  await world.room("a", { [me]: "owner" });
  await world.room("b", { [me]: "owner" });
  const wide = await minted(browser, { scope: "rooms:*" });
  const sibling = await minted(browser, { scope: "rooms:b" });
  const narrow = await minted(browser, { scope: "rooms:a" });
  const child =
    (await world.ask("/tokens", { token: narrow.token, json: { scope: "rooms:a:read" } })).body;
  const seen = (await world.ask("/tokens", { token: narrow.token })).body.tokens.map((
    g: { id: string },
  ) => g.id);
  assert.deepEqual(seen.sort(), [narrow.id, child.id].sort());
  for (const id of [wide.id, sibling.id, "no-such-token"]) {
    const gone = await world.ask(`/tokens/${id}`, { token: narrow.token, method: "DELETE" });
    assert.equal(gone.body.error, "token_not_found");
    const patched = await world.ask(`/tokens/${id}`, {
      token: narrow.token,
      method: "PATCH",
      json: { scope: "" },
    });
    assert.equal(patched.body.error, "token_not_found");
  }
  const widened = await world.ask(`/tokens/${child.id}`, {
    token: narrow.token,
    method: "PATCH",
    json: { scope: "rooms:b:read" },
  });
  assert.equal(widened.body.error, "scope_exceeds_token");
  assert.equal(
    (await world.ask(`/tokens/${narrow.id}`, { token: child.token, method: "DELETE" })).status,
    404,
  );
  const other = new Browser(world);
  await other.register("mallory");
  assert.equal(
    (await other.call(`/tokens/${wide.id}`, {}, "DELETE")).body.error,
    "token_not_found",
  );
  assert.equal(
    (await other.call(`/tokens/${wide.id}`, { scope: "" }, "PATCH")).body.error,
    "token_not_found",
  );
  assert.equal(await isAlive(world, wide.token), true);
  await world.close();
});

Deno.test("PATCH changes scope and label, says what was before, and is bounded by access and lineage", async () => {
  const { world, browser } = await signedIn();
  await world.room("a", { [browser.user.id]: "owner" });
  const parent = await minted(browser, { scope: "rooms:a:write", label: "one" });
  const child =
    (await world.ask("/tokens", { token: parent.token, json: { scope: "rooms:a:read" } })).body;
  const patched = await browser.call(`/tokens/${parent.id}`, {
    scope: "rooms:a:read",
    label: "two",
  }, "PATCH");
  assert.deepEqual(patched.body, {
    id: parent.id,
    scope: "rooms:a:read",
    label: "two",
    previous_scope: "rooms:a:write",
  });
  const beyond = await browser.call(`/tokens/${parent.id}`, { scope: "rooms:zzz" }, "PATCH");
  assert.equal(beyond.body.error, "scope_exceeds_access");
  const overParent = await browser.call(`/tokens/${child.id}`, { scope: "rooms:a:write" }, "PATCH");
  assert.equal(overParent.body.error, "scope_exceeds_token");
  const bad = await browser.call(`/tokens/${parent.id}`, { scope: "rooms:a:everything" }, "PATCH");
  assert.equal(bad.body.error, "invalid_scope");
  assert.ok(world.forgets > 0, "caches are told");
  await world.close();
});

Deno.test("Revoking ends everything minted from a token, at once; a second time it is 409", async () => {
  const { world, browser } = await signedIn();
  const top = await minted(browser, { scope: "rooms:*" });
  const mid =
    (await world.ask("/tokens", { token: top.token, json: { scope: "rooms:*:write" } })).body;
  const leaf =
    (await world.ask("/tokens", { token: mid.token, json: { scope: "rooms:*:read" } })).body;
  assert.equal(await isAlive(world, leaf.token), true);
  const gone = await browser.call(`/tokens/${top.id}`, {}, "DELETE");
  assert.deepEqual(gone.body, { revoked: true, id: top.id });
  for (const { token } of [top, mid, leaf]) assert.equal(await isAlive(world, token), false);
  const rows = await world.store.db.all("SELECT revoked_at FROM token_grant");
  assert.deepEqual(rows.map((row) => row["revoked_at"]), [world.now, world.now, world.now]);
  assert.equal((await browser.call(`/tokens/${top.id}`, {}, "DELETE")).body.error, "token_revoked");
  await world.close();
});

Deno.test("No token outlives the one it was minted from, whatever life it was given", async () => {
  const { world, browser } = await signedIn();
  const top = await minted(browser, { scope: "rooms:*", expires_in: 60 });
  const child = (await world.ask("/tokens", {
    token: top.token,
    json: { scope: "rooms:*:read", expires_in: 31_536_000 },
  })).body;
  const family = await minted(browser, { scope: "rooms:*", with_refresh: true });
  const long = (await world.ask("/tokens", {
    token: family.token,
    json: { scope: "rooms:*:read", expires_in: 31_536_000 },
  })).body;
  world.now += 59_999;
  assert.equal(await isAlive(world, child.token), true);
  world.now += 1;
  assert.equal(await isAlive(world, child.token), false);
  world.now += 30 * DAY - 60_001;
  assert.equal(await isAlive(world, long.token), true, "its family may still be refreshed");
  world.now += 1;
  assert.equal(await isAlive(world, long.token), false, "nobody can refresh its family any more");
  await world.close();
});

Deno.test("A refresh token rotates, keeps what PATCH made of the scope, and lives thirty days", async () => {
  const { world, browser } = await signedIn();
  const made = await minted(browser, { scope: "rooms:*", with_refresh: true });
  await browser.call(`/tokens/${made.id}`, { scope: "rooms:*:read" }, "PATCH");
  world.now += HOUR;
  assert.equal(await isAlive(world, made.token), false);
  world.now += 29 * DAY;
  const next = await world.ask("/tokens/refresh", { json: { refresh_token: made.refresh_token } });
  assert.equal(next.status, 200, next.text);
  assert.deepEqual(Object.keys(next.body).sort(), [
    "access_token",
    "expires_in",
    "refresh_token",
    "scope",
    "token_type",
  ]);
  assert.equal(next.body.scope, "rooms:*:read");
  assert.equal(next.body.expires_in, 3600);
  assert.equal(await isAlive(world, next.body.access_token), true);
  world.now += 30 * DAY;
  const late = await world.ask("/tokens/refresh", {
    json: { refresh_token: next.body.refresh_token },
  });
  assert.equal(late.body.error, "invalid_grant");
  await world.close();
});

Deno.test("A used refresh token that comes again ends its whole family, for good", async () => {
  const { world, browser } = await signedIn();
  const made = await minted(browser, { scope: "rooms:*", with_refresh: true });
  const child =
    (await world.ask("/tokens", { token: made.token, json: { scope: "rooms:*:read" } })).body;
  const refresh = (secret: string) =>
    world.ask("/tokens/refresh", { form: { refresh_token: secret } });
  const next = (await refresh(made.refresh_token!)).body;
  assert.equal(await isAlive(world, next.access_token), true);
  assert.equal((await refresh(made.refresh_token!)).status, 400);
  assert.equal(await isAlive(world, next.access_token), false);
  assert.equal(await isAlive(world, child.token), false);
  assert.equal((await refresh(next.refresh_token)).status, 400, "the newest one is dead too");
  const page = await browser.ask("/manage");
  assert.match(page.text, /Refresh token used twice/);
  await world.close();
});

Deno.test("Eight refreshes at once: at most one reply, and its tokens are dead", async () => {
  const { world, browser } = await signedIn();
  for (let round = 0; round < 10; round++) {
    const made = await minted(browser, { scope: "rooms:*", with_refresh: true });
    const secrets = await world.count("token_secret");
    const replies = await Promise.all(
      Array.from(
        { length: 8 },
        () => world.ask("/tokens/refresh", { json: { refresh_token: made.refresh_token } }),
      ),
    );
    const won = replies.filter((reply) => reply.status === 200);
    assert.equal(won.length, 1);
    assert.equal(
      await world.count("token_secret"),
      secrets + 1,
      "one new pair for the old access token",
    );
    assert.equal(await isAlive(world, won[0]!.body.access_token), false);
    assert.equal(
      (await world.ask("/tokens/refresh", { json: { refresh_token: won[0]!.body.refresh_token } }))
        .status,
      400,
    );
  }
  await world.close();
});

Deno.test("A bad refresh burns nothing", async () => {
  const { world, browser } = await signedIn();
  const made = await minted(browser, { scope: "rooms:*", with_refresh: true });
  const bad: unknown[] = [
    {},
    { refresh_token: "" },
    { refresh_token: 7 },
    { refresh_token: made.token },
    null,
    [],
  ];
  for (const json of bad) {
    assert.equal((await world.ask("/tokens/refresh", { json })).status, 400);
  }
  assert.equal(
    (await world.ask("/tokens/refresh", { raw: "{", type: "application/json" })).body.error,
    "invalid_json",
  );
  assert.equal(
    (await world.ask("/tokens/refresh", { json: { refresh_token: made.refresh_token } })).status,
    200,
  );
  await world.close();
});

Deno.test("Tokens of nobody mint, list and change nothing", async () => {
  const { world } = await signedIn();
  const room = mint({ kind: "room", scope: "rooms:a", room: "uid-a" }, world.now);
  await world.store.run(room.statements);
  const ask = (method: string, path: string, json?: unknown) =>
    world.ask(path, { method, token: room.token, ...(json === undefined ? {} : { json }) });
  for (
    const reply of [
      await ask("GET", "/tokens"),
      await ask("POST", "/tokens", { scope: "rooms:a:read" }),
    ]
  ) {
    assert.equal(reply.status, 403);
    assert.match(reply.body.hint, /auth\/device/);
  }
  assert.equal((await world.ask("/tokens")).status, 401);
  assert.equal((await world.ask("/tokens", { token: "tok_made-up" })).status, 401);
  assert.equal(
    (await world.ask("/tokens", { token: "tok_made-up", json: { scope: "" } })).status,
    401,
  );
  await world.close();
});

Deno.test("The scope of as_ tokens is fixed; they mint within their binding and end with their grant", async () => {
  const { world, browser } = await signedIn();
  await world.room("a", { [browser.user.id]: "owner" });
  const parent = await minted(browser, { scope: "rooms:a" });
  const agent = mint({
    kind: "as",
    scope: "rooms:a:agent:x",
    user: browser.user.id,
    parent: parent.id,
    room: "uid-a",
    agent: "x",
  }, world.now);
  await world.store.run(agent.statements);
  const fixed = await browser.call(`/tokens/${agent.grant.id}`, { scope: "rooms:a" }, "PATCH");
  assert.equal(fixed.status, 400);
  const wider = await world.ask("/tokens", { token: agent.token, json: { scope: "rooms:a" } });
  assert.equal(wider.body.error, "scope_exceeds_token");
  assert.equal(
    (await world.ask("/tokens", { token: agent.token, json: { scope: "rooms:a:agent:x" } })).status,
    201,
  );
  await browser.call(`/tokens/${parent.id}`, {}, "DELETE");
  assert.equal(await isAlive(world, agent.token), false);
  await world.close();
});

Deno.test("Long lists come in parts that say how much there is", async () => {
  const { world, browser } = await signedIn();
  for (let i = 0; i < 5; i++) await minted(browser, { scope: "" });
  const first = (await browser.ask("/tokens?limit=2")).body;
  assert.deepEqual([first.total, first.returned, first.next_cursor], [5, 2, "2"]);
  const last = (await browser.ask("/tokens?limit=2&cursor=4")).body;
  assert.deepEqual([last.returned, last.next_cursor], [1, undefined]);
  for (const query of ["limit=0", "limit=501", "limit=x", "cursor=-1", "limit=1&limit=2"]) {
    assert.equal((await browser.ask(`/tokens?${query}`)).status, 400, query);
  }
  await world.close();
});

Deno.test("Bodies of the wrong shape are 400 and name the field", async () => {
  const { world, browser } = await signedIn();
  const table: [unknown, string][] = [
    [{}, "scope"],
    [{ scope: null }, "scope"],
    [{ scope: 7 }, "scope"],
    [{ scope: ["rooms:*"] }, "scope"],
    [{ scope: "x".repeat(8193) }, "scope"],
    [{ scope: "", expires_in: 0 }, "expires_in"],
    [{ scope: "", expires_in: -1 }, "expires_in"],
    [{ scope: "", expires_in: 1.5 }, "expires_in"],
    [{ scope: "", expires_in: "60" }, "expires_in"],
    [{ scope: "", expires_in: 31_536_001 }, "expires_in"],
    [{ scope: "", label: "x".repeat(201) }, "label"],
    [{ scope: "", label: "a\nb" }, "label"],
    [{ scope: "", with_refresh: "yes" }, "with_refresh"],
    [{ scope: "", lable: "x" }, "lable"],
    [[], "body"],
    [null, "body"],
  ];
  for (const [json, field] of table) {
    const reply = await browser.call("/tokens", json);
    assert.equal(reply.status, 400, JSON.stringify(json));
    assert.equal(reply.body.field, field, reply.text);
    assert.deepEqual(reply.body.example, { scope: "rooms:my-room:write", label: "my script" });
    assert.match(reply.body.hint, /^Members: scope, label,/);
  }
  const big = await browser.call("/tokens", { scope: "", label: "x".repeat(70_000) });
  assert.equal(big.body.error, "too_large");
  await world.close();
});

Deno.test("A token made for another resource opens nothing here, nor does what was minted from it", async () => {
  const { world, browser } = await signedIn();
  const plant = async (resource: string | null, parent: string | null = null) => {
    const made = mint(
      { kind: "tok", scope: "rooms:*", user: browser.user.id, resource, parent },
      world.now,
    );
    await world.store.run(made.statements);
    return made;
  };
  const foreign = await plant("https://other.example/mcp");
  const lookalike = await plant(`${world.deps.config.origin}.evil.example`);
  const child = await plant(null, foreign.grant.id);
  for (const { token } of [foreign, lookalike, child]) {
    assert.equal(await isAlive(world, token), false);
  }
  for (const resource of [null, world.deps.config.origin, `${world.deps.config.origin}/mcp`]) {
    assert.equal(await isAlive(world, (await plant(resource)).token), true, String(resource));
  }
  await world.close();
});

Deno.test("Sweeping forgets what has expired and nothing else; a late replay still ends its family", async () => {
  const { world, browser } = await signedIn();
  const family = await minted(browser, { scope: "rooms:*", with_refresh: true });
  const year = await minted(browser, { scope: "rooms:*", expires_in: 31_536_000 });
  await browser.ask("/webauthn/login/options", { json: {} });
  await world.ask("/auth/device", { json: {} });
  const refresh = (secret: string) =>
    world.ask("/tokens/refresh", { json: { refresh_token: secret } });
  world.now += DAY;
  const next = (await refresh(family.refresh_token!)).body;
  await sweepIdentity(world.store, world.now);
  assert.deepEqual([await world.count("challenge"), await world.count("session")], [0, 0]);
  assert.equal(await isAlive(world, next.access_token), true);
  assert.equal((await refresh(family.refresh_token!)).status, 400, "the used one is still known");
  assert.equal(
    await isAlive(world, next.access_token),
    false,
    "and its coming again ended the family",
  );
  world.now += 61 * DAY;
  await sweepIdentity(world.store, world.now);
  assert.equal(await world.count("device_code"), 0);
  assert.equal(await world.count("token_secret"), 1, "the long-lived token's");
  assert.equal(await isAlive(world, year.token), true);
  await world.close();
});

Deno.test("The operator mints a token beside a running server; it works at once", async () => {
  const { world } = await signedIn("alice");
  const order = parseOrder(["--user", "Alice", "--scope", "create_rooms rooms:x", "--days", "1"]);
  const made = await carryOut(world.store, order, world.now);
  assert.equal(made.lines.length, 1);
  assert.match(made.warnings[0]!, /"x"/);
  assert.equal(await isAlive(world, made.lines[0]!), true);
  world.now += DAY;
  assert.equal(await isAlive(world, made.lines[0]!), false);
  const fresh = await carryOut(
    world.store,
    parseOrder(["--user", "bob", "--scope", "rooms:*", "--refresh"]),
    world.now,
  );
  assert.equal(fresh.lines.length, 2);
  assert.equal(
    (await world.ask("/tokens/refresh", { json: { refresh_token: fresh.lines[1] } })).status,
    200,
  );
  const recovered = await carryOut(
    world.store,
    parseOrder(["--user", "bob", "--recover"]),
    world.now,
  );
  assert.equal((await world.ask("/recover", { json: { code: recovered.lines[0] } })).status, 200);
  const bad = [[], ["--user", "x"], ["--scope", ""], ["--user", "a b", "--scope", ""], [
    "--user",
    "a",
    "--scope",
    "",
    "--days",
    "0",
  ]];
  for (const args of bad) assert.throws(() => parseOrder(args), /not valid/, args.join(" "));
  await assert.rejects(
    carryOut(world.store, parseOrder(["--user", "a", "--scope", "all"]), world.now),
    /not valid/,
  );
  await world.close();
});

Deno.test("The security log tells what happened and never a secret; the oldest events go first", async () => {
  const { world, browser } = await signedIn();
  const made = await minted(browser, { scope: "rooms:*", with_refresh: true });
  await browser.call("/tokens", { scope: "rooms:zzz" });
  await world.ask("/tokens", { token: made.token, json: { scope: "create_rooms" } });
  await browser.login({ signature: "broken" });
  await browser.call(`/tokens/${made.id}`, {}, "DELETE");
  const rows = await world.store.db.all("SELECT kind, detail FROM security_event ORDER BY id");
  assert.deepEqual(rows.map((row) => row["kind"]), [
    "registered",
    "token_minted",
    "token_refused",
    "token_refused",
    "sign_in_refused",
    "token_revoked",
  ]);
  const text = JSON.stringify(rows);
  for (const secret of [made.token, made.refresh_token!, browser.csrf]) {
    assert.equal(text.includes(secret), false);
  }
  for (let i = 0; i < 510; i++) await note(world.deps, browser.user.id, "signed_in");
  assert.equal(await world.count("security_event"), 500);
  await world.close();
});
