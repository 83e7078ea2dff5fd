/** Passkeys, sessions, recovery: the ceremonies, their lies, and what sessions may do. */
import assert from "node:assert/strict";
import { Browser, ORIGIN, signedIn, World } from "./identity_world.ts";
import { type Lies, SoftAuthenticator } from "./soft_authenticator.ts";

for (const alg of [-7, -8] as const) {
  Deno.test(`A person registers, is known by /me, logs out and logs in again (algorithm ${alg})`, async () => {
    const world = await World.open();
    const browser = new Browser(world, new SoftAuthenticator(ORIGIN, alg));
    const made = await browser.register("Alice");
    assert.equal(made.status, 200, made.text);
    assert.equal(made.body.verified, true);
    assert.equal(made.body.user.username, "alice");
    const cookie = made.headers.get("Set-Cookie")!;
    assert.match(cookie, /HttpOnly/);
    assert.match(cookie, /SameSite=Lax/);
    assert.doesNotMatch(cookie, /Secure/);
    const me = await browser.ask("/me");
    assert.equal(me.body.user.username, "alice");
    assert.equal(me.body.passkeys.length, 1);
    assert.equal(me.body.csrf, made.body.csrf);
    assert.equal((await browser.call("/logout", {})).status, 200);
    assert.equal((await browser.ask("/me")).status, 401);
    browser.key.counter = 1;
    const back = await browser.login();
    assert.equal(back.status, 200, back.text);
    assert.deepEqual(back.body.user, made.body.user);
    assert.equal((await browser.ask("/me")).status, 200);
    await world.close();
  });
}

const REGISTRATION_LIES: Record<string, Lies> = {
  "another challenge": { challenge: "AAAAAAAAAAAAAAAAAAAAAA" },
  "another origin": { origin: "https://evil.example" },
  "another relying party": { rpId: "evil.example" },
  "a login's type": { type: "webauthn.get" },
  "a frame of another site": { crossOrigin: true },
  "a crossOrigin that is no boolean": { crossOrigin: "true" },
  "a top origin": { topOrigin: "https://evil.example" },
  "nobody verified": { flags: 0x41 },
  "nobody present": { flags: 0x44 },
  "no credential": { flags: 0x05 },
  "an algorithm that was not offered": { alg: -48 },
  "another credential id": { id: "AAAAAAAAAAAAAAAAAAAAAA" },
  "an attestation format nobody knows": { format: "made-up" },
};

Deno.test("Every registration lie is refused, says nothing of why, and creates nothing", async (t) => {
  const world = await World.open();
  for (const [name, lies] of Object.entries(REGISTRATION_LIES)) {
    await t.step(name, async () => {
      const reply = await new Browser(world).register("mallory", lies);
      assert.equal(reply.status, 400, reply.text);
      assert.equal(reply.body.error, "verification_failed");
      assert.equal(reply.text.includes('hallenge":'), false);
      assert.equal(await world.count("user"), 0);
      assert.equal(await world.count("session"), 0);
      assert.equal(reply.headers.get("Set-Cookie"), null);
    });
  }
  await world.close();
});

const LOGIN_LIES: Record<string, Lies> = {
  "another challenge": { challenge: "AAAAAAAAAAAAAAAAAAAAAA" },
  "another origin": { origin: "http://localhost:9999" },
  "another relying party": { rpId: "evil.example" },
  "a registration's type": { type: "webauthn.create" },
  "a frame of another site": { crossOrigin: true },
  "a top origin": { topOrigin: "https://evil.example" },
  "nobody verified": { flags: 0x01 },
  "nobody present": { flags: 0x04 },
  "a broken signature": { signature: "broken" },
  "another key's signature": { signature: "foreign" },
  "another user's handle": { userHandle: "c29tZWJvZHkgZWxzZQ" },
  "no handle although no name was given": { userHandle: null },
  "a counter that fell back (a cloned key)": { counter: 3 },
  "an unknown credential": { id: "AAAAAAAAAAAAAAAAAAAAAA" },
};

Deno.test("Every login lie is refused and opens no session", async (t) => {
  const { world, browser } = await signedIn();
  browser.key.counter = 5;
  assert.equal((await browser.login()).status, 200);
  browser.key.counter = 6;
  const sessions = await world.count("session");
  for (const [name, lies] of Object.entries(LOGIN_LIES)) {
    await t.step(name, async () => {
      const reply = await browser.login(lies);
      assert.equal(reply.status, 400, reply.text);
      assert.equal(reply.body.error, "verification_failed");
      assert.equal(await world.count("session"), sessions);
    });
  }
  assert.equal((await browser.login()).status, 200, "the honest one still gets in");
  await world.close();
});

Deno.test("A login that names another user is refused; a handle may be missing only when the name was given", async () => {
  const { world, browser } = await signedIn("alice");
  const bob = new Browser(world);
  await bob.register("bob");
  assert.equal((await browser.login({}, "bob")).status, 400);
  assert.equal((await browser.login({}, "nobody-at-all")).status, 400);
  assert.equal((await browser.login({ userHandle: null }, "alice")).status, 200);
  await world.close();
});

Deno.test("Login options tell nothing about who exists", async () => {
  const { world, browser } = await signedIn("alice");
  const known = await browser.ask("/webauthn/login/options", { json: { username: "alice" } });
  const unknown = await browser.ask("/webauthn/login/options", { json: { username: "nobody" } });
  const shape = (body: { options: Record<string, unknown> }) => ({
    ...body.options,
    challenge: "",
  });
  assert.deepEqual(shape(known.body), shape(unknown.body));
  await world.close();
});

/** A login's options, as if they asked for a registration. */
function creation(options: { challenge: string }) {
  return { challenge: options.challenge, rp: {}, user: { id: "eA" }, pubKeyCredParams: [] };
}

Deno.test("A challenge is good for one answer, of its own purpose, for five minutes", async () => {
  const { world, browser } = await signedIn();
  const options = async () => (await browser.ask("/webauthn/login/options", { json: {} })).body;
  const first = await options();
  const answer = {
    challenge_id: first.challenge_id,
    response: await browser.key.get(first.options),
  };
  const misused = await browser.ask("/webauthn/register/verify", {
    json: {
      challenge_id: first.challenge_id,
      response: await new SoftAuthenticator(ORIGIN).create(creation(first.options)),
    },
  });
  assert.equal(misused.body.error, "invalid_challenge");
  assert.equal((await browser.ask("/webauthn/login/verify", { json: answer })).status, 200);
  const again = await browser.ask("/webauthn/login/verify", { json: answer });
  assert.equal(again.body.error, "invalid_challenge");
  const late = await options();
  world.now += 5 * 60_000;
  const lateAnswer = {
    challenge_id: late.challenge_id,
    response: await browser.key.get(late.options),
  };
  assert.equal(
    (await browser.ask("/webauthn/login/verify", { json: lateAnswer })).body.error,
    "invalid_challenge",
  );
  await world.close();
});

Deno.test("Eight answers to one challenge at once open one session", async () => {
  const { world, browser } = await signedIn();
  const started = (await browser.ask("/webauthn/login/options", { json: {} })).body;
  const answer = {
    challenge_id: started.challenge_id,
    response: await browser.key.get(started.options),
  };
  const before = await world.count("session");
  const replies = await Promise.all(
    Array.from({ length: 8 }, () => world.ask("/webauthn/login/verify", { json: answer })),
  );
  assert.equal(replies.filter((reply) => reply.status === 200).length, 1);
  assert.equal(await world.count("session"), before + 1);
  await world.close();
});

Deno.test("Two people who take one name at once: one has it, the other leaves nothing behind", async () => {
  const world = await World.open();
  const browsers = [new Browser(world), new Browser(world)];
  const answers = [];
  for (const browser of browsers) {
    const started =
      (await browser.ask("/webauthn/register/options", { json: { username: "alice" } })).body;
    answers.push({
      challenge_id: started.challenge_id,
      response: await browser.key.create(started.options),
    });
  }
  const replies = await Promise.all(
    answers.map((json) => world.ask("/webauthn/register/verify", { json })),
  );
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [200, 409]);
  assert.equal(await world.count("user"), 1);
  assert.equal(await world.count("passkey"), 1);
  assert.equal(await world.count("session"), 1);
  await world.close();
});

Deno.test("A credential that is known already registers nobody", async () => {
  const { world, browser } = await signedIn();
  const reply = await new Browser(world).register("bob", { credentialId: browser.key.id });
  assert.equal(reply.status, 400);
  assert.equal(await world.count("user"), 1);
  assert.equal((await browser.login()).status, 200, "the owner's key is untouched");
  await world.close();
});

Deno.test("A taken name is 409, in any case; bad names are 400", async () => {
  const { world } = await signedIn("alice");
  const ask = (username: unknown) =>
    world.ask("/webauthn/register/options", { json: { username } });
  assert.equal((await ask("ALICE")).body.error, "username_taken");
  for (
    const name of [
      "",
      "a b",
      "../x",
      "self",
      "admin",
      "__proto__",
      "did:x",
      "-a",
      "x".repeat(65),
      7,
      null,
      [],
    ]
  ) {
    const reply = await ask(name);
    assert.equal(reply.status, 400, String(name));
    assert.equal(reply.body.field, "username");
  }
  await world.close();
});

Deno.test("A session ends after twelve hours; what changes needs the CSRF token and our own Origin", async () => {
  const { world, browser } = await signedIn();
  const mint = (headers: Record<string, string>) =>
    world.ask("/tokens", {
      json: { scope: "create_rooms" },
      headers: { Cookie: browser.cookie, ...headers },
    });
  const good = { "X-CSRF-Token": browser.csrf, Origin: ORIGIN };
  const bad: Record<string, string>[] = [
    {},
    { Origin: ORIGIN },
    { "X-CSRF-Token": browser.csrf },
    { ...good, Origin: "https://evil.example" },
    { ...good, Origin: "null" },
    { ...good, "X-CSRF-Token": "wrong" },
    { ...good, "X-CSRF-Token": "" },
  ];
  for (const headers of bad) {
    const reply = await mint(headers);
    assert.equal(reply.status, 403, JSON.stringify(headers));
    assert.equal(reply.body.error, "csrf_failed");
  }
  const other = new Browser(world);
  await other.register("bob");
  assert.equal((await mint({ ...good, "X-CSRF-Token": other.csrf })).body.error, "csrf_failed");
  assert.equal((await mint(good)).status, 201);
  world.now += 12 * 3_600_000 - 1;
  assert.equal((await browser.ask("/me")).status, 200);
  world.now += 1;
  assert.equal((await browser.ask("/me")).body.error, "invalid_session");
  await world.close();
});

Deno.test("Passkeys are added, named and removed, but never the last one", async () => {
  const { world, browser } = await signedIn();
  const second = new SoftAuthenticator(ORIGIN, -8);
  const started = await browser.call("/webauthn/passkeys/options", {});
  assert.equal(started.body.options.excludeCredentials.length, 1);
  const added = await browser.call("/webauthn/passkeys/verify", {
    challenge_id: started.body.challenge_id,
    response: await second.create(started.body.options),
    name: "Phone",
  });
  assert.equal(added.status, 201, added.text);
  const elsewhere = new Browser(world, second);
  assert.equal((await elsewhere.login()).status, 200);
  const [first, phone] = (await browser.ask("/me")).body.passkeys;
  assert.equal(phone.name, "Phone");
  assert.equal(
    (await browser.call(`/webauthn/passkeys/${phone.id}`, { name: "Old phone" }, "PATCH")).status,
    200,
  );
  const mallory = new Browser(world);
  await mallory.register("mallory");
  assert.equal((await mallory.call(`/webauthn/passkeys/${phone.id}`, {}, "DELETE")).status, 404);
  assert.equal((await browser.call(`/webauthn/passkeys/${phone.id}`, {}, "DELETE")).status, 200);
  assert.equal((await elsewhere.ask("/me")).status, 401, "the sessions it opened end with it");
  assert.equal((await elsewhere.login()).status, 400);
  assert.equal((await browser.call(`/webauthn/passkeys/${first.id}`, {}, "DELETE")).status, 400);
  await world.close();
});

Deno.test("A challenge to add a passkey is its own user's", async () => {
  const { world, browser } = await signedIn("alice");
  const mallory = new Browser(world);
  await mallory.register("mallory");
  const started = await browser.call("/webauthn/passkeys/options", {});
  const reply = await mallory.call("/webauthn/passkeys/verify", {
    challenge_id: started.body.challenge_id,
    response: await new SoftAuthenticator(ORIGIN).create(started.body.options),
  });
  assert.equal(reply.body.error, "verification_failed");
  assert.equal(await world.count("passkey"), 2);
  await world.close();
});

Deno.test("A recovery code works once, ends all sessions, and is good for adding a passkey only", async () => {
  const { world, browser } = await signedIn();
  const { codes } = (await browser.call("/recover/codes", {})).body;
  assert.equal(codes.length, 10);
  const lost = new Browser(world, new SoftAuthenticator(ORIGIN));
  const used = await lost.ask("/recover", {
    json: { code: codes[0].toLowerCase().replaceAll("-", " ") },
  });
  assert.equal(used.status, 200, used.text);
  assert.equal((await browser.ask("/me")).status, 401, "other sessions end");
  lost.csrf = used.body.csrf;
  assert.equal((await lost.call("/tokens", { scope: "rooms:*" })).status, 403);
  assert.equal((await lost.call("/recover/codes", {})).status, 403);
  const started = await lost.call("/webauthn/passkeys/options", {});
  const added = await lost.call("/webauthn/passkeys/verify", {
    challenge_id: started.body.challenge_id,
    response: await lost.key.create(started.body.options),
  });
  assert.equal(added.status, 201, added.text);
  assert.equal(
    (await lost.call("/tokens", { scope: "create_rooms" })).status,
    201,
    "now a full session",
  );
  const again = await new Browser(world).ask("/recover", { json: { code: codes[0] } });
  assert.equal(again.body.error, "invalid_code");
  await world.close();
});

Deno.test("Eight uses of one recovery code at once: one winner", async () => {
  const { world, browser } = await signedIn();
  const { codes } = (await browser.call("/recover/codes", {})).body;
  const replies = await Promise.all(
    Array.from(
      { length: 8 },
      (_, i) =>
        world.ask("/recover", {
          json: { code: codes[3] },
          headers: { "X-Test-Address": `10.0.0.${i}` },
        }),
    ),
  );
  assert.equal(replies.filter((reply) => reply.status === 200).length, 1);
  assert.equal(await world.count("session"), 1);
  await world.close();
});

Deno.test("Guessing recovery codes is limited on loopback too; a recovery session ends after 15 minutes", async () => {
  const { world, browser } = await signedIn();
  const { codes } = (await browser.call("/recover/codes", {})).body;
  const lost = new Browser(world);
  const used = await lost.ask("/recover", { json: { code: codes[0] } });
  assert.equal(used.status, 200);
  const guess = () => world.ask("/recover", { json: { code: "AAAAA-AAAAA-AAAAA-AAAAA" } });
  for (let i = 0; i < 9; i++) assert.equal((await guess()).status, 401);
  const limited = await guess();
  assert.equal(limited.status, 429);
  assert.equal(limited.headers.get("Retry-After"), "6");
  world.now += 15 * 60_000;
  assert.equal((await lost.ask("/me")).status, 401);
  await world.close();
});

Deno.test("Secure origins get __Host- cookies; secrets at rest are hashes", async () => {
  const world = await World.open({ env: { SYNC_ORIGIN: "https://sync.example.org" } });
  const browser = new Browser(world);
  const made = await browser.register("alice");
  assert.equal(made.status, 200, made.text);
  const cookie = made.headers.get("Set-Cookie")!;
  assert.match(cookie, /^__Host-sync_session=ses_/);
  assert.match(cookie, /; Secure/);
  const secret = browser.cookie.split("=")[1]!;
  const { codes } = (await browser.call("/recover/codes", {})).body;
  const { token } = (await browser.call("/tokens", { scope: "create_rooms" })).body;
  const tables = [
    "session",
    "recovery_code",
    "token_secret",
    "token_grant",
    "security_event",
    "challenge",
    "passkey",
  ];
  for (const table of tables) {
    const rows = JSON.stringify(await world.store.db.all(`SELECT * FROM ${table}`));
    for (const text of [secret, token, codes[0]]) assert.equal(rows.includes(text), false, table);
  }
  await world.close();
});
