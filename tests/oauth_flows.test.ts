/** Whole flows against the routes: oauth4webapi as the client, a browser as the person. */
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { type Browser, hiddenField, ORIGIN, signedIn, type World } from "./identity_world.ts";

const HOUR = 3_600_000, DAY = 24 * HOUR;
const REDIRECT = "http://127.0.0.1:33418/callback";

/** What every call of oauth4webapi is given: our app instead of the network. */
function options(world: World) {
  return {
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: (url: string, init: oauth.CustomFetchOptions<string, unknown>) =>
      Promise.resolve(world.app.request(url, init as RequestInit)),
  };
}

async function discover(world: World): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(ORIGIN);
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...options(world) });
  return await oauth.processDiscoveryResponse(issuer, response);
}

async function registered(
  world: World,
  as: oauth.AuthorizationServer,
  method = "none",
): Promise<oauth.Client> {
  const metadata = {
    redirect_uris: [REDIRECT],
    client_name: "Test client",
    token_endpoint_auth_method: method,
  };
  const response = await oauth.dynamicClientRegistrationRequest(as, metadata, options(world));
  return await oauth.processDynamicClientRegistrationResponse(response) as oauth.Client;
}

interface Asked {
  readonly verifier: string;
  readonly params: URLSearchParams;
}

/** The browser goes to /oauth/authorize, ticks what is given, and comes back with a redirect. */
async function authorized(
  browser: Browser,
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  ticks: Readonly<Record<string, string>>,
  extra: Readonly<Record<string, string>> = {},
): Promise<Asked> {
  const verifier = oauth.generateRandomCodeVerifier();
  const url = new URL(as.authorization_endpoint!);
  const query = {
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    response_type: "code",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: "the-state",
    ...extra,
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const started = await browser.ask(url.href);
  assert.equal(started.status, 303, started.text);
  const page = await browser.ask(started.headers.get("Location")!);
  assert.equal(page.status, 200, page.text);
  const request = hiddenField(page.text, "request");
  const answered = await browser.submit("/auth/consent", {
    request,
    decision: "approve",
    ...ticks,
  });
  assert.equal(answered.status, 303, answered.text);
  const callback = new URL(answered.headers.get("Location")!);
  assert.equal(callback.origin + callback.pathname, REDIRECT);
  return { verifier, params: oauth.validateAuthResponse(as, client, callback, "the-state") };
}

async function exchanged(
  world: World,
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  asked: Asked,
  auth: oauth.ClientAuth = oauth.None(),
): Promise<oauth.TokenEndpointResponse> {
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    auth,
    asked.params,
    REDIRECT,
    asked.verifier,
    options(world),
  );
  return await oauth.processAuthorizationCodeResponse(as, client, response);
}

async function isAlive(world: World, token: string): Promise<boolean> {
  return (await world.ask("/tokens", { token })).status === 200;
}

Deno.test("Discovery: both documents, also at their suffixed places, say one thing", async () => {
  const { world } = await signedIn();
  const as = await discover(world);
  assert.equal(as.issuer, ORIGIN);
  assert.deepEqual(as.code_challenge_methods_supported, ["S256"]);
  assert.equal(as.device_authorization_endpoint, `${ORIGIN}/auth/device`);
  assert.equal(as.authorization_response_iss_parameter_supported, true);
  const suffixed = await world.ask("/.well-known/oauth-authorization-server/mcp");
  assert.deepEqual(suffixed.body, as);
  for (const path of ["", "/mcp"]) {
    const resource = new URL(ORIGIN + path);
    const response = await oauth.resourceDiscoveryRequest(resource, options(world));
    const found = await oauth.processResourceDiscoveryResponse(
      path === "" ? new URL(`${ORIGIN}`) : resource,
      path === "" ? rewritten(await response.json(), `${ORIGIN}/`) : response,
    );
    assert.deepEqual(found.authorization_servers, [ORIGIN]);
  }
  const foreign = await world.ask("http://evil.example/.well-known/oauth-authorization-server");
  assert.equal(foreign.body.issuer, ORIGIN, "never from the Host header");
  await world.close();
});

/** oauth4webapi compares with the URL's own spelling, which ends in a slash at the root. */
function rewritten(document: Record<string, unknown>, resource: string): Response {
  assert.equal(document["resource"], ORIGIN);
  return Response.json({ ...document, resource });
}

Deno.test("Code flow: register, authorize, consent, exchange, use, refresh, introspect, revoke", async () => {
  const { world, browser } = await signedIn();
  await world.room("a", { [browser.user.id]: "owner" });
  const as = await discover(world);
  const client = await registered(world, as);
  const asked = await authorized(browser, as, client, { "level:a": "write", create_rooms: "on" }, {
    scope: "rooms:a",
    resource: `${ORIGIN}/mcp`,
  });
  const tokens = await exchanged(world, as, client, asked);
  assert.equal(tokens.scope, "rooms:a:write create_rooms", "what was ticked, not what was asked");
  assert.equal(tokens.expires_in, 3600);
  assert.equal(await isAlive(world, tokens.access_token), true);

  world.now += HOUR;
  assert.equal(await isAlive(world, tokens.access_token), false);
  const response = await oauth.refreshTokenGrantRequest(
    as,
    client,
    oauth.None(),
    tokens.refresh_token!,
    options(world),
  );
  const next = await oauth.processRefreshTokenResponse(as, client, response);
  assert.notEqual(next.refresh_token, tokens.refresh_token);
  assert.equal(next.scope, tokens.scope);

  const form = { token: next.access_token };
  const described = await world.ask("/oauth/introspect", { token: next.access_token, form });
  assert.equal(described.body.active, true);
  assert.equal(described.body.username, "alice");
  assert.equal(described.body.aud, `${ORIGIN}/mcp`);
  assert.equal(
    (await world.ask("/oauth/introspect", { form })).status,
    401,
    "introspection is authenticated",
  );

  const revoked = await oauth.revocationRequest(
    as,
    client,
    oauth.None(),
    next.refresh_token!,
    options(world),
  );
  await oauth.processRevocationResponse(revoked);
  assert.equal(await isAlive(world, next.access_token), false);
  await world.close();
});

for (const method of ["client_secret_post", "client_secret_basic"] as const) {
  Deno.test(`A client with a secret proves itself (${method}); without it nothing is exchanged`, async () => {
    const { world, browser } = await signedIn();
    const as = await discover(world);
    const client = await registered(world, as, method);
    const secret = client.client_secret as string;
    const good = method === "client_secret_post"
      ? oauth.ClientSecretPost(secret)
      : oauth.ClientSecretBasic(secret);
    const asked = await authorized(browser, as, client, {});
    for (
      const bad of [oauth.None(), oauth.ClientSecretPost("wrong"), oauth.ClientSecretBasic("wrong")]
    ) {
      await assert.rejects(exchanged(world, as, client, asked, bad));
    }
    const tokens = await exchanged(world, as, client, asked, good);
    assert.equal(await isAlive(world, tokens.access_token), true);
    const without = await world.ask("/tokens/refresh", {
      json: { refresh_token: tokens.refresh_token },
    });
    assert.equal(without.body.error, "invalid_grant", "no way round the client's secret");
    const response = await oauth.refreshTokenGrantRequest(
      as,
      client,
      good,
      tokens.refresh_token!,
      options(world),
    );
    await oauth.processRefreshTokenResponse(as, client, response);
    const asClient = await oauth.introspectionRequest(
      as,
      client,
      good,
      "tok_nothing",
      options(world),
    );
    assert.equal((await oauth.processIntrospectionResponse(as, client, asClient)).active, false);
    await world.close();
  });
}

Deno.test("A code is good once; a replay ends everything its first use gave, and it stays ended", async () => {
  const { world, browser } = await signedIn();
  const as = await discover(world);
  const client = await registered(world, as);
  const asked = await authorized(browser, as, client, { all: "read" });
  const tokens = await exchanged(world, as, client, asked);
  const child =
    (await world.ask("/tokens", { token: tokens.access_token, json: { scope: "rooms:*:read" } }))
      .body;
  await assert.rejects(exchanged(world, as, client, asked));
  assert.equal(await isAlive(world, tokens.access_token), false);
  assert.equal(await isAlive(world, child.token), false);
  await assert.rejects(async () => {
    const response = await oauth.refreshTokenGrantRequest(
      as,
      client,
      oauth.None(),
      tokens.refresh_token!,
      options(world),
    );
    await oauth.processRefreshTokenResponse(as, client, response);
  });
  await world.close();
});

Deno.test("Eight exchanges of one code at once: one reply, and the winner's tokens are dead", async () => {
  const { world, browser } = await signedIn();
  const as = await discover(world);
  const client = await registered(world, as);
  for (let round = 0; round < 10; round++) {
    const asked = await authorized(browser, as, client, { all: "read" });
    const grants = await world.count("token_grant");
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => exchanged(world, as, client, asked)),
    );
    const won = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
    assert.equal(won.length, 1);
    assert.equal(await world.count("token_grant"), grants + 1, "losers leave nothing behind");
    assert.equal(await isAlive(world, won[0]!.access_token), false);
  }
  await world.close();
});

Deno.test("A code ends after a minute; a bad exchange does not burn it", async () => {
  const { world, browser } = await signedIn();
  const as = await discover(world);
  const client = await registered(world, as);
  const other = await registered(world, as);
  const asked = await authorized(browser, as, client, {}, { resource: ORIGIN });
  const good = {
    grant_type: "authorization_code",
    code: asked.params.get("code")!,
    redirect_uri: REDIRECT,
    client_id: client.client_id,
    code_verifier: asked.verifier,
  };
  const bad: [Record<string, string>, string][] = [
    [{ ...good, code_verifier: oauth.generateRandomCodeVerifier() }, "invalid_grant"],
    [{ ...good, code_verifier: "" }, "invalid_grant"],
    [{ ...good, redirect_uri: "http://127.0.0.1:33418/other" }, "invalid_grant"],
    [{ ...good, client_id: other.client_id }, "invalid_grant"],
    [{ ...good, client_id: "client_nobody" }, "invalid_client"],
    [{ ...good, client_id: "client_nobody", code: "code_made-up" }, "invalid_client"],
    [{ ...good, code: "code_made-up" }, "invalid_grant"],
    [{ ...good, resource: `${ORIGIN}/mcp` }, "invalid_target"],
    [{ ...good, resource: "https://evil.example" }, "invalid_target"],
    [{ ...good, client_secret: "guess" }, "invalid_client"],
    [{ ...good, grant_type: "password" }, "unsupported_grant_type"],
  ];
  for (const [form, error] of bad) {
    const reply = await world.ask("/oauth/token", { form });
    assert.equal(reply.body.error, error, JSON.stringify(form));
    assert.ok(reply.status === 400 || reply.status === 401);
  }
  assert.equal((await world.ask("/oauth/token", { json: good })).body.error, "invalid_request");
  const twice = Object.entries(good).concat([["code", good.code]]) as [string, string][];
  assert.equal((await world.ask("/oauth/token", { form: twice })).body.error, "invalid_request");
  world.now += 59_999;
  const won = await world.ask("/oauth/token", { form: good });
  assert.equal(won.status, 200, won.text);
  assert.equal(won.headers.get("Cache-Control"), "no-store");
  const late = await authorized(browser, as, client, {});
  world.now += 60_000;
  await assert.rejects(exchanged(world, as, client, late));
  await world.close();
});

Deno.test("A public client's token is ended by whoever holds it; a confidential one's by its client alone", async () => {
  const { world, browser } = await signedIn();
  const as = await discover(world);
  const open = await registered(world, as);
  const { body: closed } = await world.ask("/oauth/register", {
    json: { redirect_uris: [REDIRECT] },
  });
  const asked = await authorized(browser, as, open, {});
  const { access_token: token } = await exchanged(world, as, open, asked);
  const ended = await world.ask("/oauth/revoke", { form: { token } });
  assert.equal(ended.status, 200, ended.text);
  assert.equal(await isAlive(world, token), false);
  const secret = Buffer.from(`${closed.client_id}:${closed.client_secret}`).toString("base64");
  const again = await authorized(browser, as, closed, {});
  const given = await world.ask("/oauth/token", {
    form: {
      grant_type: "authorization_code",
      code: again.params.get("code")!,
      redirect_uri: REDIRECT,
      code_verifier: again.verifier,
    },
    headers: { Authorization: `Basic ${secret}` },
  });
  const kept = given.body.access_token;
  const refused = await world.ask("/oauth/revoke", { form: { token: kept } });
  assert.deepEqual([refused.status, refused.body.error], [401, "invalid_client"]);
  assert.equal(await isAlive(world, kept), true);
  await world.close();
});

Deno.test("Refusals of the OAuth doors say what every door says, beside the words of their standards", async () => {
  const { world } = await signedIn();
  const big = "x".repeat(70_000), huge = "x".repeat(1_100_000);
  for (const text of [big, huge]) {
    for (
      const [path, ask] of [
        ["/auth/device", { json: { scope: text } }],
        ["/auth/device/token", { json: { device_code: text } }],
        ["/oauth/token", { form: { grant_type: text } }],
        ["/oauth/register", { json: { client_name: text } }],
        ["/oauth/revoke", { form: { token: text } }],
        ["/oauth/introspect", { form: { token: text } }],
        ["/tokens/refresh", { json: { refresh_token: text } }],
      ] as const
    ) {
      const { status, body } = await world.ask(path, ask);
      const said = path.startsWith("/tokens") ? undefined : body.message;
      assert.deepEqual(
        [status, body.error, body.limit, body.error_description],
        [413, "too_large", 65_536, said],
        path,
      );
    }
  }
  const rows = [
    ["/auth/device", { scope: 7 }, "scope"],
    ["/auth/device/token", {}, "device_code"],
    ["/oauth/register", { redirect_uris: 7 }, "redirect_uris"],
    ["/tokens/refresh", { refresh_token: 7 }, "refresh_token"],
    ["/webauthn/register/options", { username: "A b" }, "username"],
    ["/recover", { code: 7 }, "code"],
  ] as const;
  for (const [path, json, field] of rows) {
    const { status, body } = await world.ask(path, { json });
    assert.equal(status, 400, path);
    assert.deepEqual([body.field, typeof body.message], [field, "string"], path);
    assert.ok(field in body.example, `${path}: ${JSON.stringify(body)}`);
  }
  const pending = (await world.ask("/auth/device", { json: {} })).body;
  const { body } = await world.ask("/auth/device/token", {
    json: { device_code: pending.device_code },
  });
  assert.deepEqual([body.error, body.message], ["authorization_pending", body.error_description]);
  await world.close();
});

Deno.test("A refresh is the client's own, cannot widen, and a bad one burns nothing", async () => {
  const { world, browser } = await signedIn();
  await world.room("a", { [browser.user.id]: "owner" });
  const as = await discover(world);
  const client = await registered(world, as);
  const other = await registered(world, as);
  const tokens = await exchanged(
    world,
    as,
    client,
    await authorized(browser, as, client, { "level:a": "read" }),
  );
  const good = {
    grant_type: "refresh_token",
    refresh_token: tokens.refresh_token!,
    client_id: client.client_id,
  };
  const bad: [Record<string, string>, string][] = [
    [{ ...good, client_id: other.client_id }, "invalid_grant"],
    [{ ...good, client_id: "" }, "invalid_client"],
    [{ ...good, client_id: "client_nobody" }, "invalid_client"],
    [{ ...good, client_id: "client_nobody", refresh_token: "ref_made-up" }, "invalid_client"],
    [{ ...good, scope: "rooms:a:write" }, "invalid_scope"],
    [{ ...good, scope: "rooms:*" }, "invalid_scope"],
    [{ ...good, resource: "https://evil.example" }, "invalid_target"],
    [{ ...good, refresh_token: tokens.access_token }, "invalid_grant"],
  ];
  for (const [form, error] of bad) {
    assert.equal(
      (await world.ask("/oauth/token", { form })).body.error,
      error,
      JSON.stringify(form),
    );
  }
  assert.equal(
    (await world.ask("/oauth/token", { form: { ...good, scope: "rooms:a:read" } })).status,
    200,
  );
  await world.close();
});

Deno.test("Errors before the redirect URI is trusted never redirect; later ones do, with iss and state", async (t) => {
  const { world } = await signedIn();
  const as = await discover(world);
  const client = await registered(world, as);
  const good: Record<string, string> = {
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    response_type: "code",
    code_challenge: await oauth.calculatePKCECodeChallenge("x".repeat(43)),
    code_challenge_method: "S256",
    state: "s",
  };
  const ask = (params: Record<string, string>, accept = "application/json") =>
    world.ask(`/oauth/authorize?${new URLSearchParams(params)}`, { headers: { Accept: accept } });
  const untrusted: Record<string, Record<string, string>> = {
    "no client": { ...good, client_id: "" },
    "an unknown client": { ...good, client_id: "client_nobody" },
    "no redirect": { ...good, redirect_uri: "" },
    "another path": { ...good, redirect_uri: "http://127.0.0.1:33418/other" },
    "another host": { ...good, redirect_uri: "http://evil.example/callback" },
    "another loopback name": { ...good, redirect_uri: "http://localhost:33418/callback" },
    "a longer path": { ...good, redirect_uri: `${REDIRECT}/..` },
    "a query": { ...good, redirect_uri: `${REDIRECT}?x=1` },
    "credentials": { ...good, redirect_uri: "http://a@127.0.0.1:33418/callback" },
    "a script": { ...good, redirect_uri: "javascript:alert(1)" },
  };
  for (const [name, params] of Object.entries(untrusted)) {
    await t.step(`not redirected: ${name}`, async () => {
      const reply = await ask(params);
      assert.equal(reply.status, 400, reply.text);
      assert.equal(reply.headers.get("Location"), null);
      const page = await ask(params, "text/html");
      assert.equal(page.status, 400);
      assert.match(page.headers.get("Content-Security-Policy")!, /default-src 'none'/);
    });
  }
  const redirected: Record<string, [Record<string, string>, string]> = {
    "no PKCE": [{ ...good, code_challenge: "" }, "invalid_request"],
    "plain PKCE": [{ ...good, code_challenge_method: "plain" }, "invalid_request"],
    "a short challenge": [{ ...good, code_challenge: "abc" }, "invalid_request"],
    "the implicit flow": [{ ...good, response_type: "token" }, "unsupported_response_type"],
    "a fragment": [{ ...good, response_mode: "fragment" }, "invalid_request"],
    "an unknown scope": [{ ...good, scope: "rooms:a everything" }, "invalid_scope"],
    "a foreign resource": [{ ...good, resource: "https://evil.example" }, "invalid_target"],
  };
  for (const [name, [params, error]] of Object.entries(redirected)) {
    await t.step(`redirected: ${name}`, async () => {
      const reply = await ask(params);
      assert.equal(reply.status, 303, reply.text);
      const location = new URL(reply.headers.get("Location")!);
      assert.equal(location.origin + location.pathname, REDIRECT);
      assert.equal(location.searchParams.get("error"), error);
      assert.equal(location.searchParams.get("state"), "s");
      assert.equal(location.searchParams.get("iss"), ORIGIN);
    });
  }
  await t.step("a repeated parameter is refused", async () => {
    const reply = await world.ask(`/oauth/authorize?${new URLSearchParams(good)}&client_id=x`);
    assert.equal(reply.status, 400);
    assert.equal(reply.headers.get("Location"), null);
  });
  await t.step("the port of a loopback redirect is free", async () => {
    const reply = await ask({ ...good, redirect_uri: "http://127.0.0.1:1/callback" });
    assert.match(reply.headers.get("Location")!, /^\/auth\/consent\?request=/);
  });
  await world.close();
});

Deno.test("Registration takes https, loopback and native schemes, and nothing else", async (t) => {
  const { world } = await signedIn();
  const table: [unknown, number, string?][] = [
    [{ redirect_uris: ["https://app.example/cb"] }, 201],
    [{ redirect_uris: ["http://localhost/cb", "http://127.0.0.1:9/cb", "http://[::1]/cb"] }, 201],
    [{ redirect_uris: ["cursor://anysphere.cursor/callback"] }, 201],
    [{ redirect_uris: ["com.example.app:/cb"], application_type: "native" }, 201],
    [
      { redirect_uris: ["com.example.app:/cb"], application_type: "web" },
      400,
      "invalid_redirect_uri",
    ],
    [{ redirect_uris: ["http://app.example/cb"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["http://localhost.evil.example/cb"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["javascript:alert(1)"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["JAVASCRIPT:alert(1)"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["data:text/html,x"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["file:///etc/passwd"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["https://app.example/cb#frag"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["https://u:p@app.example/cb"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["https://x;script-src/cb"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: ["/relative"] }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: [] }, 400, "invalid_redirect_uri"],
    [{}, 400, "invalid_redirect_uri"],
    [{ redirect_uris: "https://app.example/cb" }, 400, "invalid_redirect_uri"],
    [{ redirect_uris: Array(11).fill("https://app.example/cb") }, 400, "invalid_redirect_uri"],
    [
      { redirect_uris: ["https://a.example/"], token_endpoint_auth_method: "private_key_jwt" },
      400,
      "invalid_client_metadata",
    ],
    [
      { redirect_uris: ["https://a.example/"], response_types: ["token"] },
      400,
      "invalid_client_metadata",
    ],
    [{ redirect_uris: ["https://a.example/"], client_name: 7 }, 400, "invalid_client_metadata"],
    [[], 400, "invalid_request"],
    [null, 400, "invalid_request"],
  ];
  for (const [json, status, error] of table) {
    await t.step(JSON.stringify(json).slice(0, 90), async () => {
      const reply = await world.ask("/oauth/register", { json });
      assert.equal(reply.status, status, reply.text);
      assert.equal(reply.body.error, error);
      if (status !== 201) assert.equal(typeof reply.body.error_description, "string");
    });
  }
  await world.close();
});

Deno.test("Device flow with oauth4webapi: pending, slow down, approved, used once", async () => {
  const { world, browser } = await signedIn();
  const as = await discover(world);
  const client: oauth.Client = { client_id: "my-tool" };
  const started = await oauth.deviceAuthorizationRequest(
    as,
    client,
    oauth.None(),
    new URLSearchParams({ scope: "rooms:*:read" }),
    options(world),
  );
  const device = await oauth.processDeviceAuthorizationResponse(as, client, started);
  const poll = async () => {
    const response = await oauth.deviceCodeGrantRequest(
      as,
      client,
      oauth.None(),
      device.device_code,
      options(world),
    );
    return await oauth.processDeviceCodeResponse(as, client, response);
  };
  const refusal = async () => {
    try {
      await poll();
      return "none";
    } catch (error) {
      return (error as oauth.ResponseBodyError).error;
    }
  };
  assert.equal(await refusal(), "authorization_pending");
  world.now += 1_000;
  assert.equal(await refusal(), "slow_down");
  world.now += 5_000;
  assert.equal(await refusal(), "slow_down", "each hasty poll lengthens the interval");
  world.now += 15_000;
  assert.equal(await refusal(), "authorization_pending");
  const page = await browser.ask(device.verification_uri_complete!);
  assert.equal(
    page.text.includes(device.device_code),
    false,
    "the page never shows the device code",
  );
  assert.match(page.text, /my-tool/);
  const approved = await browser.submit("/auth/consent", {
    user_code: device.user_code,
    all: "read",
    decision: "approve",
  });
  assert.equal(approved.status, 200, approved.text);
  const tokens = await poll();
  assert.equal(tokens.scope, "rooms:*:read");
  assert.equal(await isAlive(world, tokens.access_token), true);
  assert.equal(await refusal(), "invalid_grant");
  world.now += HOUR + 10 * DAY;
  const response = await oauth.refreshTokenGrantRequest(
    as,
    client,
    oauth.None(),
    tokens.refresh_token!,
    options(world),
  );
  await oauth.processRefreshTokenResponse(as, client, response);
  await world.close();
});

Deno.test("The quick start: curl asks, the person approves, curl polls with the device code alone", async () => {
  const { world, browser } = await signedIn();
  const started = await world.ask("/auth/device", { json: { scope: "rooms:* create_rooms" } });
  assert.equal(started.status, 200);
  assert.match(started.body.device_code, /^dev_/);
  assert.match(started.body.user_code, /^[B-Z]{4}-[B-Z]{4}$/);
  assert.equal(started.body.verification_uri, `${ORIGIN}/auth/device`);
  assert.deepEqual([started.body.expires_in, started.body.interval], [900, 5]);
  const json = JSON.stringify({ device_code: started.body.device_code });
  // As curl -d sends it when no content type is named.
  const poll = () =>
    world.ask("/auth/device/token", { raw: json, type: "application/x-www-form-urlencoded" });
  assert.deepEqual([(await poll()).status, (await poll()).body.error], [400, "slow_down"]);
  await browser.submit("/auth/consent", {
    user_code: started.body.user_code.toLowerCase().replace("-", ""),
    all: "full",
    create_rooms: "on",
    decision: "approve",
  });
  const won = await poll();
  assert.equal(won.status, 200, won.text);
  assert.match(won.body.access_token, /^tok_/);
  assert.match(won.body.refresh_token, /^ref_/);
  assert.equal(won.body.scope, "rooms:* create_rooms");
  assert.equal(won.body.token_type, "Bearer");
  const refreshed = await world.ask("/tokens/refresh", {
    json: { refresh_token: won.body.refresh_token },
  });
  assert.equal(refreshed.status, 200);
  await world.close();
});

Deno.test("Eight polls of an approved device at once: one token, and it lives", async () => {
  const { world, browser } = await signedIn();
  for (let round = 0; round < 5; round++) {
    const { device_code, user_code } = (await world.ask("/auth/device", { json: {} })).body;
    await browser.submit("/auth/consent", { user_code, decision: "approve" });
    const before = await world.count("token_grant");
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => world.ask("/auth/device/token", { json: { device_code } })),
    );
    const won = replies.filter((reply) => reply.status === 200);
    assert.equal(won.length, 1);
    assert.equal(await world.count("token_grant"), before + 1, "losers leave nothing behind");
    assert.equal(await isAlive(world, won[0]!.body.access_token), true);
    world.now += 60_000;
  }
  await world.close();
});

Deno.test("A device's request ends after 15 minutes, may be refused, and is answered once", async () => {
  const { world, browser } = await signedIn();
  const start = async () => (await world.ask("/auth/device", { json: {} })).body;
  const poll = (device_code: string) => world.ask("/auth/device/token", { json: { device_code } });
  const late = await start();
  world.now += 900_000;
  assert.equal((await poll(late.device_code)).body.error, "expired_token");
  assert.equal((await browser.ask(`/auth/device?user_code=${late.user_code}`)).status, 404);
  const refused = await start();
  await browser.submit("/auth/consent", { user_code: refused.user_code, decision: "deny" });
  assert.equal((await poll(refused.device_code)).body.error, "access_denied");
  const again = await browser.submit("/auth/consent", {
    user_code: refused.user_code,
    decision: "approve",
  });
  assert.equal(again.status, 404);
  assert.equal((await poll(refused.device_code)).body.error, "access_denied");
  const approved = await start();
  await browser.submit("/auth/consent", { user_code: approved.user_code, decision: "approve" });
  world.now += 900_000;
  assert.equal(
    (await poll(approved.device_code)).body.error,
    "expired_token",
    "approved, but too late",
  );
  for (
    const json of [{}, { device_code: "" }, { device_code: 7 }, { device_code: "dev_x" }, null]
  ) {
    assert.equal((await world.ask("/auth/device/token", { json })).status, 400);
  }
  assert.equal(
    (await world.ask("/auth/device", { json: { scope: "everything" } })).body.error,
    "invalid_scope",
  );
  await world.close();
});

Deno.test("Guessing user codes is limited, per person and per address, on loopback too", async () => {
  const { world, browser } = await signedIn();
  for (let i = 0; i < 10; i++) {
    const page = await browser.ask("/auth/device?user_code=BBBB-BBBB", {
      headers: { "X-Test-Address": `10.0.0.${i}` },
    });
    assert.equal(page.status, 404);
  }
  const limited = await browser.ask("/auth/device?user_code=BBBB-BBBB", {
    headers: { "X-Test-Address": "10.0.1.1" },
  });
  assert.equal(limited.status, 429);
  assert.ok(Number(limited.headers.get("Retry-After")) >= 1);
  await world.close();
});
