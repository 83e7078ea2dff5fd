/** A real Chromium with a virtual authenticator uses every identity page as a person would. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Page } from "playwright-core";
import { elevationLink } from "../oauth/elevation.ts";
import { findUser } from "../store/members.ts";
import { complaintsOf, giveAuthenticator, launchChromium, mustBeAccessible } from "./chromium.ts";
import { World } from "./identity_world.ts";

/** The service on a real socket, at its own origin. */
async function serve() {
  const holder: { world?: World } = {};
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => holder.world!.app.fetch(request),
  );
  holder.world = await World.open({ env: { PORT: String(server.addr.port) } });
  return { world: holder.world, server, origin: holder.world.deps.config.origin };
}

/** A client's redirect endpoint. */
function serveClient() {
  const seen: URL[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const url = new URL(request.url);
    if (url.pathname === "/callback") seen.push(url);
    return new Response("<!doctype html><title>client</title><h1>Back at the client</h1>", {
      headers: { "Content-Type": "text/html" },
    });
  });
  return { server, seen, redirect: `http://127.0.0.1:${server.addr.port}/callback` };
}

async function json(url: string, body: unknown, token?: string) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function status(url: string, token: string): Promise<number> {
  const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  await response.body?.cancel();
  return response.status;
}

/** Presses the button of this name. */
function press(page: Page, name: string): Promise<void> {
  return page.getByRole("button", { name, exact: true }).click();
}

/** Presses Tab until the element that holds this text has the focus. */
async function tabTo(page: Page, text: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate("document.activeElement.textContent")) === text) return;
  }
  assert.fail(`"${text}" cannot be reached by keyboard`);
}

Deno.test({
  name: "A person registers, logs in, approves a device, consents, elevates, revokes and recovers",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const { world, server, origin } = await serve();
    const client = serveClient();
    const browser = await launchChromium();
    const page = await browser.newPage();
    page.setDefaultTimeout(10_000);
    const complaints = complaintsOf(page);
    const takeAuthenticator = await giveAuthenticator(page);
    let token = "";

    await t.step(
      "127.0.0.1 leads to the origin that passkeys belong to, and /manage to sign-in",
      async () => {
        await page.goto(`${origin.replace("localhost", "127.0.0.1")}/manage`);
        assert.equal(page.url(), `${origin}/auth/signin?next=%2Fmanage`);
        await mustBeAccessible(page, "sign-in");
      },
    );

    await t.step("registers", async () => {
      await page.fill("#username", "Alice");
      await press(page, "Create an account with a passkey");
      await page.waitForURL(`${origin}/manage`);
      assert.equal(await page.textContent("h1"), "Hello, alice");
      const user = await findUser(world.store, "alice");
      await world.room("mine", { [user!.id]: "owner" }, { helper: user!.id });
      await world.room("work", { [user!.id]: "collaborator" });
      await page.reload();
      await mustBeAccessible(page, "manage");
    });

    await t.step("signs out, and in again by keyboard alone", async () => {
      await press(page, "Sign out");
      await page.waitForURL(`${origin}/auth/signin`);
      await tabTo(page, "Sign in with a passkey");
      await page.keyboard.press("Enter");
      await page.waitForURL(`${origin}/manage`);
    });

    await t.step("a name that is taken is told in words", async () => {
      await page.goto(`${origin}/auth/signin`);
      await page.fill("#username", "alice");
      await press(page, "Create an account with a passkey");
      await page.waitForSelector("#status:has-text('taken')");
      complaints.splice(
        0,
        complaints.length,
        ...complaints.filter((line) => !line.includes("409")),
      );
    });

    await t.step("approves a device: exactly what is chosen", async () => {
      const { body } = await json(`${origin}/auth/device`, {
        scope: "rooms:mine:read",
        client_id: "my-cli",
      });
      await page.goto(`${origin}/auth/device`);
      await mustBeAccessible(page, "device");
      await page.fill("#user_code", body.user_code.toLowerCase());
      await press(page, "Go on");
      assert.match(await page.textContent("main") ?? "", /my-cli/);
      await mustBeAccessible(page, "device consent");
      await press(page, "Approve");
      await page.waitForSelector("text=Go back to your device");
      const won = await json(`${origin}/auth/device/token`, { device_code: body.device_code });
      assert.equal(won.body.scope, "rooms:mine:read");
      token = won.body.access_token;
      assert.equal(await status(`${origin}/tokens`, token), 200);
    });

    await t.step(
      "consents for an OAuth client, whose redirect the page's policy lets through",
      async () => {
        const registered = await json(`${origin}/oauth/register`, {
          redirect_uris: [client.redirect],
          client_name: "A client",
          token_endpoint_auth_method: "none",
        });
        const verifier = "v".repeat(64);
        const query = new URLSearchParams({
          client_id: registered.body.client_id,
          redirect_uri: client.redirect,
          response_type: "code",
          code_challenge: createHash("sha256").update(verifier).digest("base64url"),
          code_challenge_method: "S256",
          state: "xyz",
          scope: "rooms:work:write",
        });
        await page.goto(`${origin}/oauth/authorize?${query}`);
        await mustBeAccessible(page, "client consent");
        await page.selectOption("[id='level:work']", "read");
        await page.selectOption("[id='level:mine']", "agent");
        await page.fill("[id='agent:mine']", "helper");
        await press(page, "Approve");
        await page.waitForSelector("text=Back at the client");
        const back = client.seen.at(-1)!.searchParams;
        assert.equal(back.get("state"), "xyz");
        assert.equal(back.get("iss"), origin);
        const exchanged = await fetch(`${origin}/oauth/token`, {
          method: "POST",
          body: new URLSearchParams({
            grant_type: "authorization_code",
            code: back.get("code")!,
            redirect_uri: client.redirect,
            client_id: registered.body.client_id,
            code_verifier: verifier,
          }),
        });
        assert.equal((await exchanged.json()).scope, "rooms:work:read rooms:mine:agent:helper");
      },
    );

    await t.step("widens a token by its link", async () => {
      const grant = (await world.ask("/tokens", { token })).body.tokens[0];
      await page.goto(elevationLink(world.deps, grant.id, "work", 2));
      await mustBeAccessible(page, "elevation");
      await press(page, "Approve");
      await page.waitForSelector("text=let the agent try again");
      assert.equal(
        (await world.ask("/tokens", { token })).body.tokens[0].scope,
        "rooms:mine:read rooms:work:write",
      );
    });

    await t.step("revokes it on /manage", async () => {
      await page.goto(`${origin}/manage`);
      await page.click("[aria-label='Revoke my-cli']");
      await page.waitForURL(`${origin}/manage#tokens`);
      assert.equal(await status(`${origin}/tokens`, token), 401);
    });

    await t.step("adds another passkey, but not twice on one device", async () => {
      await press(page, "Add a passkey");
      await page.waitForSelector("#status:has-text('already holds')");
    });

    await t.step("recovers with a code on a new device", async () => {
      await press(page, "Make new codes");
      const code = (await page.textContent(".codes li"))!;
      await mustBeAccessible(page, "recovery codes");
      await press(page, "Sign out");
      await takeAuthenticator();
      await giveAuthenticator(page);
      await page.goto(`${origin}/recover`);
      await mustBeAccessible(page, "recover");
      await page.fill("#code", code);
      await press(page, "Use this code");
      await page.waitForSelector("text=Add a new passkey");
      await mustBeAccessible(page, "new passkey");
      await page.fill("#name", "New phone");
      await press(page, "Add a passkey");
      await page.waitForURL(`${origin}/manage`);
      await page.waitForSelector("h3:has-text('New phone')");
      assert.match(await page.textContent("main") ?? "", /Recovery code used/);
    });

    await t.step("nothing was blocked and no script failed on the way", () => {
      assert.deepEqual(complaints, []);
    });

    await browser.close();
    await server.shutdown();
    await client.server.shutdown();
    await world.close();
  },
});
