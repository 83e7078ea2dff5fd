/** Clients named by URL: how their document is fetched, and what it must say. */
import assert from "node:assert/strict";
import { documentFault, fetchDocument, isPublicAddress } from "../oauth/documents.ts";
import { meetsRedirect, redirectWith } from "../oauth/redirects.ts";
import { ORIGIN, signedIn, type World } from "./identity_world.ts";

/** A self-signed certificate for localhost, good for a hundred years; it guards nothing. */
const CERT = `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUbNj85tt2vqw9G+XfELdQIqmUP/kwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDA2NTAyN1oYDzIxMjYxMDI3
MDY1MDI3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS2t3DGQP6NsKRZmPe3AX4/5XhmsAoGVclqhSE33sediteny5X6+Xkd
/o89cIscSajqHPAqm4cFqXgfyMpRCGZHo2kwZzAdBgNVHQ4EFgQUpHWqbFtS4Gw0
WKybG27j0B80tSYwHwYDVR0jBBgwFoAUpHWqbFtS4Gw0WKybG27j0B80tSYwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAN+iQq47V/5D0c3DbGhR0hRVefCt582bXUEkzendQaBbAiEA6R9s/RPf
NivGF5VxMH0njgA4E3mBtMLXj7oFcYznEZU=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfFzKL4lGPhxp3g4V
Lzsc7bKRbwfUWoyylQh/AxPtSzWhRANCAAS2t3DGQP6NsKRZmPe3AX4/5XhmsAoG
VclqhSE33sediteny5X6+Xkd/o89cIscSajqHPAqm4cFqXgfyMpRCGZH
-----END PRIVATE KEY-----`;

Deno.test("A document is fetched over https, without redirects, up to 5 KB and 3 s, from public addresses", async (t) => {
  const held: (() => void)[] = [];
  const server = Deno.serve({ port: 0, cert: CERT, key: KEY, onListen: () => {} }, (request) => {
    const path = new URL(request.url).pathname;
    if (path === "/ok") return new Response("{}");
    if (path === "/redirect") {
      return new Response(null, { status: 302, headers: { Location: "/ok" } });
    }
    if (path === "/long") return new Response("x".repeat(5_121));
    if (path === "/full") return new Response("x".repeat(5_120));
    return new Promise((settle) => held.push(() => settle(new Response("late"))));
  });
  const base = `https://localhost:${server.addr.port}`;
  const trusted = { isAllowed: () => true, ca: CERT };
  const get = (path: string, options = {}) => fetchDocument(new URL(base + path), options);
  await t.step("what is allowed", async () => {
    assert.equal(await get("/ok", trusted), "{}");
    assert.equal((await get("/full", trusted)).length, 5_120);
  });
  await t.step(
    "loopback is no public address",
    () => assert.rejects(get("/ok", { ca: CERT }), /not a public address/),
  );
  await t.step(
    "a certificate nobody vouches for",
    () => assert.rejects(get("/ok", { isAllowed: () => true })),
  );
  await t.step("a redirect", () => assert.rejects(get("/redirect", trusted), /status 302/));
  await t.step("one byte too long", () => assert.rejects(get("/long", trusted), /too long/));
  await t.step(
    "too slow",
    () => assert.rejects(get("/slow", { ...trusted, timeoutMs: 100 }), /too long/),
  );
  for (const release of held) release();
  await server.shutdown();
});

Deno.test("Public addresses are told from all others", () => {
  const open = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
  ];
  const closed = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::",
    "3fff::1",
    "localhost",
    "",
  ];
  for (const address of open) assert.equal(isPublicAddress(address), true, address);
  for (const address of closed) assert.equal(isPublicAddress(address), false, address);
});

Deno.test("A client_id URL is https, with a path, no IP, no credentials, in its normal form", () => {
  assert.equal(documentFault("https://app.example/client.json"), undefined);
  const bad = [
    "http://app.example/client.json",
    "https://app.example",
    "https://app.example/",
    "https://127.0.0.1/c.json",
    "https://0x7f.1/c.json",
    "https://2130706433/c.json",
    "https://[::1]/c.json",
    "https://localhost/c.json",
    "https://a.localhost/c.json",
    "https://metadata.google.internal/c.json",
    "https://intranet/c.json",
    "https://u:p@app.example/c.json",
    "https://app.example/c.json#x",
    "https://app.example/../c.json",
    "https://APP.example/c.json",
    `https://app.example/${"x".repeat(2000)}`,
    "https:/",
  ];
  for (const url of bad) assert.notEqual(documentFault(url), undefined, url);
});

Deno.test("A redirect meets a registered one exactly, save for a loopback port", () => {
  const table: [string, string, boolean][] = [
    ["https://a.example/cb", "https://a.example/cb", true],
    ["https://a.example/cb", "https://a.example:8443/cb", false],
    ["https://a.example/cb", "https://a.example/cb/", false],
    ["https://a.example/cb", "https://A.example/cb", false],
    ["http://127.0.0.1/cb", "http://127.0.0.1:5000/cb", true],
    ["http://127.0.0.1:1/cb?x=1", "http://127.0.0.1:2/cb?x=1", true],
    ["http://127.0.0.1:1/cb?x=1", "http://127.0.0.1:2/cb?x=2", false],
    ["http://[::1]:1/cb", "http://[::1]:2/cb", true],
    ["http://localhost:1/cb", "http://127.0.0.1:1/cb", false],
    ["http://localhost:1/cb", "http://localhost:1/cb/../x", false],
    ["http://localhost:1/cb", "http://localhost:1@evil.example/cb", false],
    ["http://localhost:1/cb", "http://localhost:99999/cb", false],
    ["http://localhost:1/cb", "https://localhost:1/cb", false],
  ];
  for (const [registered, given, meets] of table) {
    assert.equal(meetsRedirect(registered, given), meets, given);
  }
});

Deno.test("Parameters join a redirect without touching what it had", () => {
  const params = { code: "a b", state: undefined, iss: "http://x" };
  const added = "code=a+b&iss=http%3A%2F%2Fx";
  const table: [string, string][] = [
    ["https://a.example/cb", `https://a.example/cb?${added}`],
    ["https://a.example", `https://a.example?${added}`],
    ["https://a.example/cb?q=a%20b", `https://a.example/cb?q=a%20b&${added}`],
    ["https://a.example/cb?", `https://a.example/cb?${added}`],
    ["app:/cb?x=1&", `app:/cb?x=1&${added}`],
  ];
  for (const [uri, wanted] of table) assert.equal(redirectWith(uri, params), wanted);
});

const ID = "https://app.example/client.json";
const DOCUMENT = { client_id: ID, client_name: "An app", redirect_uris: ["http://127.0.0.1/cb"] };

async function authorizeAs(
  id: string,
  document: unknown,
): Promise<{ world: World; status: number; location: string | null }> {
  const { world } = await signedIn("alice", {
    fetchDocument: () =>
      document instanceof Error
        ? Promise.reject(document)
        : Promise.resolve(typeof document === "string" ? document : JSON.stringify(document)),
  });
  const reply = await world.ask(`/oauth/authorize?${new URLSearchParams({
    client_id: id,
    redirect_uri: "http://127.0.0.1:4000/cb",
    response_type: "code",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    code_challenge_method: "S256",
  })}`);
  return { world, status: reply.status, location: reply.headers.get("Location") };
}

Deno.test("A document that fits is a client; the page names the host that vouches for it", async () => {
  const { world, status, location } = await authorizeAs(ID, DOCUMENT);
  assert.equal(status, 303);
  assert.match(location!, /^\/auth\/consent\?/);
  await world.close();
});

Deno.test("A document that does not fit is no client, and nothing is redirected", async (t) => {
  const bad: Record<string, unknown> = {
    "another client_id": { ...DOCUMENT, client_id: "https://app.example/other.json" },
    "no redirects": { client_id: ID },
    "a script": { ...DOCUMENT, redirect_uris: ["javascript:alert(1)"] },
    "a secret": { ...DOCUMENT, token_endpoint_auth_method: "client_secret_post" },
    "other redirects": { ...DOCUMENT, redirect_uris: ["https://app.example/cb"] },
    "no JSON": "<html>",
    "a list": [],
    "null": "null",
    "a failure with a secret text": new Error("inner secret"),
  };
  for (const [name, document] of Object.entries(bad)) {
    await t.step(name, async () => {
      const { world, status, location } = await authorizeAs(ID, document);
      assert.equal(status, 400);
      assert.equal(location, null);
      await world.close();
    });
  }
});

Deno.test("A client named by URL exchanges its code as the public client it is", async () => {
  const { world, browser } = await signedIn("alice", {
    fetchDocument: () => Promise.resolve(JSON.stringify(DOCUMENT)),
  });
  const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  const started = await browser.ask(`/oauth/authorize?${new URLSearchParams({
    client_id: ID,
    redirect_uri: "http://127.0.0.1:4000/cb",
    response_type: "code",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    code_challenge_method: "S256",
  })}`);
  const request = new URL(started.headers.get("Location")!, ORIGIN).searchParams.get("request")!;
  const page = await browser.ask(`/auth/consent?${new URLSearchParams({ request })}`);
  assert.match(page.text, /An app \(app\.example\)/);
  const answered = await browser.submit("/auth/consent", { request, decision: "approve" });
  const code = new URL(answered.headers.get("Location")!).searchParams.get("code")!;
  const good = {
    grant_type: "authorization_code",
    code,
    redirect_uri: "http://127.0.0.1:4000/cb",
    client_id: ID,
    code_verifier: verifier,
  };
  const withSecret = await world.ask("/oauth/token", { form: { ...good, client_secret: "x" } });
  assert.equal(withSecret.body.error, "invalid_client");
  const won = await world.ask("/oauth/token", { form: good });
  assert.equal(won.status, 200, won.text);
  assert.equal(won.body.scope, "");
  await world.close();
});
