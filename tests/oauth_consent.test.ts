/** Consent and elevation: what is offered, what is granted, who may answer, and how often. */
import assert from "node:assert/strict";
import { elevate, elevationLink, elevationOf } from "../oauth/elevation.ts";
import { seal, unseal } from "../oauth/signed.ts";
import { reachInto } from "../scopes.ts";
import { findToken } from "../tokens.ts";
import {
  Browser,
  hiddenField,
  ORIGIN,
  type Reply,
  signedIn,
  type Site,
  World,
} from "./identity_world.ts";

const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async function client(world: Site, redirect = "https://app.example/cb"): Promise<string> {
  const reply = await world.ask("/oauth/register", {
    json: {
      redirect_uris: [redirect],
      client_name: "<b>Bold</b> & co",
      token_endpoint_auth_method: "none",
    },
  });
  return reply.body.client_id;
}

/** Opens the consent page of an authorization request. */
async function consentPage(
  browser: Browser,
  scope: string,
  redirect = "https://app.example/cb",
): Promise<Reply> {
  const query = {
    client_id: await client(browser.world, redirect),
    redirect_uri: redirect,
    response_type: "code",
    code_challenge: CHALLENGE,
    code_challenge_method: "S256",
    state: "s",
    ...(scope === "" ? {} : { scope }),
  };
  const started = await browser.ask(`/oauth/authorize?${new URLSearchParams(query)}`);
  return await browser.ask(started.headers.get("Location")!);
}

/** What a select on the page has chosen. */
function chosen(page: string, name: string): string {
  const select = new RegExp(`<select[^>]*name="${name}">(.*?)</select>`, "s").exec(page);
  assert.ok(select, `no select ${name}`);
  return /<option value="([^"]*)" selected>/.exec(select[1]!)?.[1] ?? "(first)";
}

/** What a select on the page offers. */
function offered(page: string, name: string): string[] {
  const select = new RegExp(`<select[^>]*name="${name}">(.*?)</select>`, "s").exec(page)!;
  return [...select[1]!.matchAll(/<option value="([^"]*)"/g)].map((match) => match[1]!);
}

async function worldWithRooms() {
  const { world, browser } = await signedIn();
  const me = browser.user.id;
  const bob = new Browser(world);
  await bob.register("bob");
  await world.room("mine", { [me]: "owner" }, { helper: me });
  await world.room("work", { [me]: "collaborator", [bob.user.id]: "owner" }, {
    theirs: bob.user.id,
  });
  await world.room("seen", { [me]: "observer", [bob.user.id]: "owner" });
  await world.room("foreign", { [bob.user.id]: "owner" });
  return { world, browser, bob };
}

Deno.test("The page shows who asks, where it leads and what was asked, and preselects no more than that", async (t) => {
  const { world, browser } = await worldWithRooms();
  await t.step("nothing asked: nothing selected", async () => {
    const { text } = await consentPage(browser, "");
    assert.equal(chosen(text, "all"), "");
    for (const room of ["mine", "work", "seen"]) assert.equal(chosen(text, `level:${room}`), "");
    assert.doesNotMatch(text, / checked>/);
    assert.match(text, /app\.example/);
    assert.match(text, /&lt;b&gt;Bold&lt;\/b&gt; &amp; co/);
    assert.doesNotMatch(text, /<b>Bold/);
    assert.doesNotMatch(text, /level:foreign/);
  });
  await t.step("a read scope is shown as read", async () => {
    const { text } = await consentPage(browser, "rooms:mine:read rooms:*:read");
    assert.equal(chosen(text, "level:mine"), "read");
    assert.equal(chosen(text, "all"), "read");
    assert.equal(chosen(text, "level:work"), "");
    assert.doesNotMatch(text, / checked>/);
  });
  await t.step("never more than the user's role", async () => {
    const { text } = await consentPage(
      browser,
      "rooms:work rooms:seen:write rooms:foreign create_rooms",
    );
    assert.equal(chosen(text, "level:work"), "write");
    assert.equal(chosen(text, "level:seen"), "read");
    assert.deepEqual(offered(text, "level:seen"), ["", "read"]);
    assert.deepEqual(offered(text, "level:work"), ["", "read", "write", "agent"]);
    assert.match(text, /no member of: foreign/);
    assert.match(text, /name="create_rooms" checked/);
  });
  await t.step("an agent binding is shown as one", async () => {
    const { text } = await consentPage(browser, "rooms:mine:agent:helper");
    assert.equal(chosen(text, "level:mine"), "agent");
    assert.equal(hiddenField(text, "agent:mine"), "helper");
  });
  await world.close();
});

Deno.test("Exactly what is ticked is granted", async (t) => {
  const { world, browser } = await worldWithRooms();
  const table: [string, Record<string, string>, string | number][] = [
    ["nothing", {}, ""],
    ["nothing, though everything was asked", {}, ""],
    ["read in one", { "level:mine": "read" }, "rooms:mine:read"],
    [
      "all of it",
      { all: "full", create_rooms: "on", "level:seen": "read" },
      "rooms:* rooms:seen:read create_rooms",
    ],
    ["an agent", { "level:mine": "agent", "agent:mine": "helper" }, "rooms:mine:agent:helper"],
    [
      "a binding left over from another level",
      { "level:mine": "read", "agent:mine": "helper" },
      "rooms:mine:read",
    ],
    ["an agent without a name", { "level:mine": "agent" }, 400],
    ["more than the role", { "level:work": "full" }, 403],
    ["another's agent", { "level:work": "agent", "agent:work": "theirs" }, 403],
    ["a foreign room", { "level:foreign": "read" }, 403],
    ["a level nobody offered", { "level:mine": "admin" }, 400],
    ["an agent for every room", { all: "agent" }, 400],
    ["a room that is no id", { "level:mine create_rooms": "read" }, 400],
  ];
  for (const [name, ticks, expected] of table) {
    await t.step(name, async () => {
      const page = await consentPage(
        browser,
        name.includes("everything") ? "rooms:* create_rooms" : "",
      );
      const request = hiddenField(page.text, "request");
      const answered = await browser.submit("/auth/consent", {
        request,
        decision: "approve",
        ...ticks,
      });
      if (typeof expected === "number") {
        assert.equal(answered.status, expected, answered.text);
        assert.equal(await world.count("oauth_code"), 0);
        return;
      }
      assert.equal(answered.status, 303, answered.text);
      const rows = await world.store.db.all("SELECT scope FROM oauth_code");
      assert.deepEqual(rows.map((row) => row["scope"]), [expected]);
      await world.store.run([{ sql: "DELETE FROM oauth_code", args: {} }]);
    });
  }
  await world.close();
});

Deno.test("A request is answered once, by a meant form of a session; refusing tells the client", async (t) => {
  const { world, browser } = await signedIn();
  const fresh = async () => hiddenField((await consentPage(browser, "")).text, "request");
  await t.step("refused", async () => {
    const request = await fresh();
    const refused = await browser.submit("/auth/consent", { request, decision: "deny" });
    const location = new URL(refused.headers.get("Location")!);
    assert.equal(location.searchParams.get("error"), "access_denied");
    assert.equal(location.searchParams.get("iss"), ORIGIN);
    assert.equal(location.searchParams.get("state"), "s");
    assert.equal(
      (await browser.submit("/auth/consent", { request, decision: "approve" })).status,
      400,
    );
    assert.equal(await world.count("oauth_code"), 0);
  });
  await t.step("eight approvals at once give one code", async () => {
    const request = await fresh();
    const form = { request, csrf: browser.csrf, decision: "approve" };
    const headers = { Cookie: browser.cookie, Origin: ORIGIN };
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => world.ask("/auth/consent", { form, headers })),
    );
    assert.equal(replies.filter((reply) => reply.status === 303).length, 1);
    assert.equal(await world.count("oauth_code"), 1);
  });
  await t.step("forged", async () => {
    const request = await fresh();
    const bad: [Record<string, string>, Record<string, string>][] = [
      [{}, {}],
      [{ csrf: "x" }, {}],
      [{ csrf: browser.csrf }, { Origin: "https://evil.example" }],
      [{ csrf: browser.csrf }, { Origin: "null" }],
    ];
    for (const [form, headers] of bad) {
      const reply = await browser.ask("/auth/consent", {
        form: { request, decision: "approve", ...form },
        headers,
      });
      assert.equal(reply.status, 403, reply.text);
    }
    const nobody = await world.ask("/auth/consent", {
      form: { request, decision: "approve" },
      headers: { Origin: ORIGIN },
    });
    assert.equal(nobody.status, 401);
  });
  await t.step("expired, or sealed for something else, or by somebody else", async () => {
    const request = await fresh();
    const [payload, mac] = request.split(".");
    const elsewhere = seal(
      "another key" as typeof world.deps.serverKey,
      "authorize",
      {},
      world.now + 1000,
    );
    const wrongPurpose = seal(world.deps.serverKey, "session", {}, world.now + 1000);
    for (
      const text of [
        "",
        "x",
        "a.b",
        `${payload}.`,
        `${payload}x.${mac}`,
        `${payload}.${mac}.x`,
        elsewhere,
        wrongPurpose,
      ]
    ) {
      assert.equal(
        (await browser.submit("/auth/consent", { request: text, decision: "approve" })).status,
        400,
        text,
      );
    }
    world.now += 15 * 60_000;
    assert.equal(
      (await browser.submit("/auth/consent", { request, decision: "approve" })).status,
      400,
    );
  });
  await world.close();
});

Deno.test("The consent page's policy lets its form lead to the client and nowhere else", async () => {
  const { world, browser } = await signedIn();
  const policyOf = async (redirect: string) =>
    (await consentPage(browser, "", redirect)).headers.get("Content-Security-Policy")!;
  const web = await policyOf("https://app.example:8443/cb?x=1");
  assert.match(web, /form-action 'self' https:\/\/app\.example:8443;/);
  assert.match(web, /default-src 'none'/);
  assert.match(web, /frame-ancestors 'none'/);
  assert.doesNotMatch(web, /unsafe|script-src/);
  assert.match(await policyOf("cursor://x/cb"), /form-action 'self' cursor:;/);
  assert.match(await policyOf("http://[::1]:9/cb"), /form-action 'self';/);
  const page = await consentPage(browser, "", "http://[::1]:9/cb");
  const answered = await browser.submit("/auth/consent", {
    request: hiddenField(page.text, "request"),
    decision: "approve",
  });
  assert.equal(answered.status, 200, "no policy can name an IPv6 literal, so a link leads on");
  assert.match(answered.text, /href="http:\/\/\[::1\]:9\/cb\?code=code_/);
  await world.close();
});

Deno.test("Without a session the pages lead to sign-in and back; next never leaves the service", async () => {
  const world = await World.open();
  const page = await world.ask("/auth/consent?request=abc");
  assert.equal(page.headers.get("Location"), "/auth/signin?next=%2Fauth%2Fconsent%3Frequest%3Dabc");
  for (
    const [next, wanted] of [
      ["/manage?x=1", "/manage?x=1"],
      ["https://evil.example", "/manage"],
      ["//evil.example", "/manage"],
      ["/\\evil.example", "/manage"],
      ["/\t/evil.example", "/evil.example"],
      ["javascript:alert(1)", "/manage"],
      ["", "/manage"],
    ]
  ) {
    const { text } = await world.ask(`/auth/signin?${new URLSearchParams({ next: next! })}`);
    const data = /data-next="([^"]*)"/.exec(text)![1];
    const url = new URL(data!.replaceAll("&amp;", "&"), ORIGIN);
    assert.equal(url.origin, ORIGIN, `next=${next}`);
    if (!next!.includes("\t")) assert.equal(data, wanted);
  }
  await world.close();
});

async function elevationWorld() {
  const { world, browser, bob } = await worldWithRooms();
  const { id, token } =
    (await browser.call("/tokens", { scope: "rooms:mine:read", label: "Agent's token" })).body;
  const path = (room: string, level: 1 | 2 | 3, grant = id) =>
    elevationLink(world.deps, grant, room, level).slice(ORIGIN.length);
  const scopeOf = async (secret = token) =>
    (await findToken(world.store, secret, world.now))!.lineage[0]!.scope;
  return { world, browser, bob, id, token, path, scopeOf };
}

Deno.test("Elevation: the token's own user widens it to the asked room at the chosen level, once", async () => {
  const { world, browser, path, scopeOf } = await elevationWorld();
  const link = path("work", 2);
  assert.match(link, /^\/auth\/elevate\?request=/);
  const page = await browser.ask(link);
  assert.equal(page.status, 200, page.text);
  assert.match(page.text, /Agent&#39;s token/);
  assert.equal(chosen(page.text, "level"), "write");
  assert.deepEqual(offered(page.text, "level"), ["read", "write"]);
  const request = hiddenField(page.text, "request");
  const approved = await browser.submit("/auth/consent", {
    request,
    level: "read",
    decision: "approve",
  });
  assert.equal(approved.status, 200, approved.text);
  assert.equal(
    await scopeOf(),
    "rooms:mine:read rooms:work:read",
    "the same token, at the level chosen",
  );
  assert.equal(
    (await browser.submit("/auth/consent", { request, level: "write", decision: "approve" }))
      .status,
    400,
  );
  assert.equal((await browser.ask(link)).status, 400);
  assert.equal(await scopeOf(), "rooms:mine:read rooms:work:read");
  assert.ok(world.forgets > 0);
  await world.close();
});

Deno.test("Elevation is refused to others, beyond the role, when late, when forged, and for ended tokens", async () => {
  const { world, browser, bob, id, path, scopeOf } = await elevationWorld();
  const before = await scopeOf();
  const link = path("work", 2);
  assert.equal((await bob.ask(link)).status, 403);
  const request = new URLSearchParams(link.split("?")[1]).get("request")!;
  assert.equal(
    (await bob.submit("/auth/consent", { request, level: "read", decision: "approve" })).status,
    403,
  );
  for (const level of ["full", "", "agent", "admin"]) {
    const reply = await browser.submit("/auth/consent", { request, level, decision: "approve" });
    assert.ok(reply.status === 400 || reply.status === 403, level);
  }
  assert.equal((await browser.ask(path("foreign", 1))).status, 404);
  const refused = await browser.submit("/auth/consent", {
    request,
    level: "read",
    decision: "deny",
  });
  assert.equal(refused.status, 200);
  assert.equal(
    (await browser.submit("/auth/consent", { request, level: "read", decision: "approve" })).status,
    400,
  );
  const late = path("work", 1);
  world.now += 15 * 60_000;
  assert.equal((await browser.ask(late)).status, 400);
  assert.equal(await scopeOf(), before);
  const dead = path("work", 1);
  await browser.call(`/tokens/${id}`, {}, "DELETE");
  assert.equal((await browser.ask(dead)).status, 409);
  await world.close();
});

Deno.test("Eight approvals of one elevation at once: one counts", async () => {
  const { world, browser, path, scopeOf } = await elevationWorld();
  const request = new URLSearchParams(path("work", 2).split("?")[1]).get("request")!;
  const levels = ["read", "write"];
  const replies = await Promise.all(Array.from({ length: 8 }, (_, i) =>
    world.ask("/auth/consent", {
      form: { request, csrf: browser.csrf, decision: "approve", level: levels[i % 2]! },
      headers: { Cookie: browser.cookie, Origin: ORIGIN },
    })));
  const won = replies.flatMap((reply, i) => reply.status === 200 ? [levels[i % 2]] : []);
  assert.equal(won.length, 1);
  assert.equal(await scopeOf(), `rooms:mine:read rooms:work:${won[0]}`);
  await world.close();
});

Deno.test("An elevation read before another answer came is not answered again at another level", async () => {
  const { world, browser, path, scopeOf } = await elevationWorld();
  const request = new URLSearchParams(path("work", 2).split("?")[1]).get("request")!;
  const opened = unseal(world.deps.serverKey, "elevate", request, world.now)!;
  const asked = await elevationOf(world.deps, opened, browser.user);
  await elevate(world.deps, browser.user, asked, 1);
  await assert.rejects(elevate(world.deps, browser.user, asked, 2), /answered already/);
  assert.equal(await scopeOf(), "rooms:mine:read rooms:work:read");
  await world.close();
});

Deno.test("Widening a child widens what limits it, and says so; its own children stay as they are", async () => {
  const { world, browser, token, path, scopeOf } = await elevationWorld();
  const child =
    (await world.ask("/tokens", { token, json: { scope: "rooms:mine:read", label: "Child" } }))
      .body;
  const grandchild =
    (await world.ask("/tokens", { token: child.token, json: { scope: "rooms:mine:read" } })).body;
  const link = path("work", 2, child.id);
  const page = await browser.ask(link);
  assert.match(page.text, /made from a narrower token.*Agent&#39;s token/s);
  await browser.submit("/auth/consent", {
    request: hiddenField(page.text, "request"),
    level: "write",
    decision: "approve",
  });
  const { lineage } = (await findToken(world.store, child.token, world.now))!;
  assert.ok(
    lineage.every((grant) => reachInto(grant.words, "work").level === 2),
    "the same token works on retry",
  );
  assert.equal(await scopeOf(token), "rooms:mine:read rooms:work:write");
  assert.equal(await scopeOf(grandchild.token), "rooms:mine:read");
  await world.close();
});

Deno.test("A refresh keeps what elevation made of the scope; a PATCH meanwhile is not lost", async () => {
  const { world, browser, path } = await elevationWorld();
  const made =
    (await browser.call("/tokens", { scope: "rooms:mine:read", with_refresh: true })).body;
  const request = new URLSearchParams(path("work", 1, made.id).split("?")[1]).get("request")!;
  const headers = { Cookie: browser.cookie, Origin: ORIGIN };
  await Promise.all([
    browser.call(`/tokens/${made.id}`, { scope: "rooms:mine:write" }, "PATCH"),
    world.ask("/auth/consent", {
      form: { request, csrf: browser.csrf, decision: "approve", level: "read" },
      headers,
    }),
  ]);
  const next =
    (await world.ask("/tokens/refresh", { json: { refresh_token: made.refresh_token } })).body;
  assert.ok(
    ["rooms:mine:write rooms:work:read", "rooms:mine:write"].includes(next.scope),
    next.scope,
  );
  await world.close();
});

Deno.test("/manage shows rooms, tokens in words, passkeys, codes, sessions and the log, and its forms work", async () => {
  const { world, browser, id, token } = await elevationWorld();
  const page = await browser.ask("/manage");
  assert.equal(page.status, 200);
  for (
    const text of [
      "Dashboard of mine",
      "Read the room mine",
      "First passkey",
      "This browser",
      "Token made",
    ]
  ) {
    assert.ok(page.text.includes(text), text);
  }
  assert.equal(page.text.includes(token), false);
  assert.doesNotMatch(page.text, /style=|<style|onclick|<script>/);
  assert.match(page.headers.get("Content-Security-Policy")!, /script-src 'self'/);
  assert.equal(
    (await browser.ask("/manage/tokens/revoke", { form: { id, csrf: "x" } })).status,
    403,
  );
  assert.equal((await browser.submit("/manage/tokens/revoke", { id })).status, 303);
  assert.equal((await world.ask("/tokens", { token })).status, 401);
  const codes = await browser.submit("/manage/recovery-codes", {});
  const code = /<li>([A-Z2-9-]{23})<\/li>/.exec(codes.text)![1]!;
  const made = await browser.submit("/manage/tokens", {
    scope: "rooms:mine",
    label: "x",
    days: "7",
  });
  assert.match(made.text, /tok_[A-Za-z0-9_-]{43}/);
  for (const days of ["0", "366", "x", "1.5"]) {
    assert.equal((await browser.submit("/manage/tokens", { scope: "", days })).status, 400, days);
  }
  const second = new Browser(world, browser.key);
  await second.login();
  await browser.submit("/manage/sessions/end-others", {});
  assert.equal((await second.ask("/me")).status, 401);
  assert.equal((await browser.submit("/logout", {})).status, 303);
  const lost = new Browser(world);
  const recovered = await lost.ask("/recover", { form: { code } });
  assert.equal(recovered.status, 303, recovered.text);
  assert.match((await lost.ask("/recover")).text, /Add a new passkey/);
  assert.equal((await lost.ask("/manage")).headers.get("Location"), "/recover");
  assert.equal(
    (await world.ask("/recover", { form: { code }, headers: { Origin: "https://evil.example" } }))
      .status,
    403,
  );
  await world.close();
});
