/**
 * Every identity route against every kind of credential, compared with one table. A route without
 * a row fails.
 */
import assert from "node:assert/strict";
import { identityRoutes } from "../oauth/routes.ts";
import { mint } from "../tokens.ts";
import { type Ask, Browser, ORIGIN, signedIn, type World } from "./identity_world.ts";
import { SoftAuthenticator } from "./soft_authenticator.ts";

/**
 * Who gets through a route's door:
 * - `open`: everybody; what they send is judged on its own.
 * - `page`: everybody; without a full session it leads to sign-in.
 * - `session`: a session, `full` or also a `recovery` one.
 * - `meant`: the same, with the CSRF token and our own Origin.
 * - `form`: a meant form of a full session.
 * - `either`: a meant session, or a token of a user.
 * - `proven`: a client with a secret, or any living token.
 */
type Door = "open" | "page" | "session" | "meant" | "meant recovery" | "form" | "either" | "proven";

const DOORS: Readonly<Record<string, Door>> = {
  "POST /webauthn/register/options": "open",
  "POST /webauthn/register/verify": "open",
  "POST /webauthn/login/options": "open",
  "POST /webauthn/login/verify": "open",
  "POST /webauthn/passkeys/options": "meant recovery",
  "POST /webauthn/passkeys/verify": "meant recovery",
  "PATCH /webauthn/passkeys/:id": "meant",
  "DELETE /webauthn/passkeys/:id": "meant",
  "POST /logout": "open",
  "GET /me": "session",
  "GET /recover": "open",
  "POST /recover": "open",
  "POST /recover/codes": "meant",
  "GET /auth/signin": "open",
  "GET /auth/device": "page",
  "POST /auth/device": "open",
  "POST /auth/device/token": "open",
  "GET /auth/consent": "page",
  "GET /auth/elevate": "page",
  "POST /auth/consent": "form",
  "GET /oauth/authorize": "open",
  "POST /oauth/authorize": "open",
  "POST /oauth/token": "open",
  "POST /oauth/register": "open",
  "POST /oauth/revoke": "open",
  "POST /oauth/introspect": "proven",
  "GET /.well-known/oauth-authorization-server": "open",
  "GET /.well-known/oauth-authorization-server/mcp": "open",
  "GET /.well-known/oauth-protected-resource": "open",
  "GET /.well-known/oauth-protected-resource/mcp": "open",
  "GET /static/passkeys.js": "open",
  "GET /static/pages.css": "open",
  "POST /tokens": "either",
  "GET /tokens": "either",
  "PATCH /tokens/:id": "either",
  "DELETE /tokens/:id": "either",
  "POST /tokens/refresh": "open",
  "GET /manage": "page",
  "GET /manage/room": "page",
  "POST /manage/rooms": "form",
  "POST /manage/room/invite": "form",
  "POST /manage/room/role": "form",
  "POST /manage/room/remove": "form",
  "POST /manage/room/delete": "form",
  "POST /manage/tokens": "form",
  "POST /manage/tokens/revoke": "form",
  "POST /manage/passkeys/rename": "form",
  "POST /manage/passkeys/remove": "form",
  "POST /manage/recovery-codes": "form",
  "POST /manage/sessions/end": "form",
  "POST /manage/sessions/end-others": "form",
};

type Kind =
  | "nobody"
  | "a made-up token"
  | "a room's own token"
  | "a user's token"
  | "a user's empty token"
  | "a user's agent token"
  | "a session without its CSRF token"
  | "a session from another origin"
  | "a meant session"
  | "a meant recovery session"
  | "a made-up session";

/** Does this credential get through this door? `undefined`: it has nothing to do with it. */
function passes(door: Door, kind: Kind, isChange: boolean): boolean {
  const isUsers = kind === "a user's token" || kind === "a user's empty token" ||
    kind === "a user's agent token";
  const isMeant = kind === "a meant session";
  const isFull = isMeant || kind === "a session without its CSRF token" ||
    kind === "a session from another origin";
  switch (door) {
    case "open":
      return true;
    case "page":
      return isFull;
    case "session":
      return isFull || kind === "a meant recovery session";
    case "meant":
    case "form":
      return isMeant;
    case "meant recovery":
      return isMeant || kind === "a meant recovery session";
    case "either":
      return isUsers || (isChange ? isMeant : isFull);
    case "proven":
      return isUsers || kind === "a room's own token";
  }
}

interface Credential {
  readonly ask: Ask;
  readonly csrf: string;
}

async function credentials(world: World, alice: Browser): Promise<Map<Kind, Credential>> {
  const token = async (request: Parameters<typeof mint>[0]): Promise<Credential> => {
    const made = mint(request, world.now);
    await world.store.run(made.statements);
    return { ask: { token: made.token }, csrf: "" };
  };
  const session = (cookie: string, csrf: string, headers: Record<string, string>): Credential => ({
    ask: { headers: { Cookie: cookie, ...headers } },
    csrf,
  });
  const user = alice.user.id;
  const own = { Origin: ORIGIN, "X-CSRF-Token": alice.csrf };
  const bob = new Browser(world, new SoftAuthenticator(ORIGIN));
  await bob.register("bob");
  const { codes } = (await bob.call("/recover/codes", {})).body;
  const recovered = await bob.ask("/recover", { json: { code: codes[0] } });
  return new Map<Kind, Credential>([
    ["nobody", { ask: {}, csrf: "" }],
    ["a made-up token", { ask: { token: "tok_made-up" }, csrf: "" }],
    ["a room's own token", await token({ kind: "room", scope: "rooms:a", room: "uid-a" })],
    ["a user's token", await token({ kind: "tok", scope: "rooms:* create_rooms", user })],
    ["a user's empty token", await token({ kind: "tok", scope: "", user })],
    [
      "a user's agent token",
      await token({ kind: "as", scope: "rooms:a:agent:x", user, room: "uid-a", agent: "x" }),
    ],
    ["a session without its CSRF token", session(alice.cookie, "", { Origin: ORIGIN })],
    [
      "a session from another origin",
      session(alice.cookie, alice.csrf, { ...own, Origin: "https://evil.example" }),
    ],
    ["a meant session", session(alice.cookie, alice.csrf, own)],
    [
      "a meant recovery session",
      session(bob.cookie, recovered.body.csrf, { ...own, "X-CSRF-Token": recovered.body.csrf }),
    ],
    ["a made-up session", session("sync_session=ses_made-up", "x", own)],
  ]);
}

Deno.test("Every identity route has a row, and every row a route", async () => {
  const { world } = await signedIn();
  const routes = identityRoutes(world.deps).routes.filter(({ method }) => method !== "ALL");
  const known = new Set(routes.map(({ method, path }) => `${method} ${path}`));
  assert.deepEqual([...known].sort(), Object.keys(DOORS).sort());
  await world.close();
});

Deno.test("Every route lets through exactly the credentials of its row", async () => {
  const { world, browser } = await signedIn();
  const all = await credentials(world, browser);
  const wrong: string[] = [];
  for (const [route, door] of Object.entries(DOORS)) {
    const [method, path] = route.split(" ") as [string, string];
    for (const [kind, { ask, csrf }] of all) {
      // Ending the sessions these tests live on is for other tests.
      if (/logout|end-others/.test(path) && kind.startsWith("a meant")) continue;
      const body: Ask = method === "GET"
        ? {}
        : door === "form" || path.startsWith("/oauth/")
        ? { form: { csrf, token: "x" } }
        : { json: {} };
      const reply = await world.ask(path.replace(":id", "x"), { ...ask, ...body, method });
      const isTurnedAway = reply.status === 401 || reply.status === 403 ||
        (reply.status === 303 &&
          /^\/(auth\/signin|recover)/.test(reply.headers.get("Location") ?? "") && door === "page");
      if (path === "/logout" && reply.status === 403) continue;
      const isOpenOrigin = door === "open" && kind === "a session from another origin" &&
        reply.status === 403;
      if (
        isTurnedAway === passes(door, kind, method !== "GET") && !isOpenOrigin &&
        !isCode(reply.body)
      ) {
        wrong.push(`${route} for ${kind}: ${reply.status} ${reply.text.slice(0, 80)}`);
      }
      world.now += 20;
    }
  }
  assert.deepEqual(wrong, []);
  await world.close();
});

/** Open doors refuse a wrong code or client with 401: that is about what was sent, not about who sends. */
function isCode(body: { error?: string } | undefined): boolean {
  return body?.error === "invalid_code" || body?.error === "invalid_client";
}
