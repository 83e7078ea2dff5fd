/** No input yields a 5xx at any identity door, and every refusal is JSON or a page of ours. */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Browser, signedIn } from "./identity_world.ts";

const JSON_DOORS = [
  "POST /webauthn/register/options",
  "POST /webauthn/register/verify",
  "POST /webauthn/login/options",
  "POST /webauthn/login/verify",
  "POST /webauthn/passkeys/options",
  "POST /webauthn/passkeys/verify",
  "PATCH /webauthn/passkeys/x",
  "DELETE /webauthn/passkeys/x",
  "POST /logout",
  "POST /recover",
  "POST /tokens",
  "PATCH /tokens/x",
  "DELETE /tokens/x",
  "POST /tokens/refresh",
  "POST /auth/device",
  "POST /auth/device/token",
  "POST /oauth/register",
  "POST /oauth/token",
  "POST /oauth/revoke",
  "POST /oauth/introspect",
  "POST /auth/consent",
  "POST /manage/rooms",
  "POST /manage/tokens",
  "POST /manage/tokens/revoke",
  "POST /manage/passkeys/rename",
  "POST /manage/sessions/end",
  "POST /manage/room/delete",
];
const PAGES = [
  "/oauth/authorize",
  "/auth/consent",
  "/auth/elevate",
  "/auth/device",
  "/auth/signin",
  "/manage",
  "/manage/room",
  "/recover",
  "/me",
  "/tokens",
];
const FIELDS = [
  "username",
  "challenge_id",
  "response",
  "code",
  "scope",
  "label",
  "expires_in",
  "refresh_token",
  "device_code",
  "user_code",
  "client_id",
  "client_secret",
  "redirect_uris",
  "redirect_uri",
  "grant_type",
  "token",
  "request",
  "decision",
  "id",
  "name",
  "days",
  "room",
  "next",
  "resource",
  "state",
  "limit",
  "cursor",
];
const NASTY = [
  "",
  "\0",
  "__proto__",
  "../../etc",
  "%",
  "%00",
  "\ud800",
  "🙂",
  "-1",
  "NaN",
  "1e999",
  "x".repeat(3000),
  "null",
];

const text = fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: "binary", maxLength: 40 }));
const value = fc.oneof(
  text,
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, -1, 1e308, [], {}, true),
);
const body = fc.dictionary(fc.constantFrom(...FIELDS), value, { maxKeys: 6 });
const form = fc.dictionary(fc.constantFrom(...FIELDS), text, { maxKeys: 6 });

async function mustBeCalm(
  browser: Browser,
  method: string,
  path: string,
  init: Parameters<Browser["ask"]>[1],
) {
  const reply = await browser.ask(path, { method, ...init });
  assert.ok(
    reply.status < 500,
    `${method} ${path} ${JSON.stringify(init).slice(0, 400)}: ${reply.status}`,
  );
  const type = reply.headers.get("Content-Type") ?? "";
  if (reply.status >= 400) {
    assert.ok(type.includes("json") || type.includes("text/html"), `${path}: ${type}`);
  }
  if (type.includes("json") && reply.status >= 400) assert.equal(typeof reply.body.error, "string");
}

Deno.test("Whatever is sent to an identity door, it answers with less than 500", async () => {
  const { world, browser } = await signedIn();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...JSON_DOORS), body, form, async (door, json, fields) => {
      const [method, path] = door.split(" ") as [string, string];
      const headers = { "X-CSRF-Token": browser.csrf };
      await mustBeCalm(browser, method, path, { json, headers });
      await mustBeCalm(browser, method, path, {
        form: { ...wellFormed(fields), csrf: browser.csrf },
        headers,
      });
      world.now += 7_000;
      if ((await browser.ask("/me")).status !== 200) {
        assert.equal((await browser.login()).status, 200);
      }
    }),
    { numRuns: 400 },
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...PAGES), form, async (path, fields) => {
      await mustBeCalm(browser, "GET", `${path}?${new URLSearchParams(wellFormed(fields))}`, {});
      world.now += 7_000;
    }),
    { numRuns: 300 },
  );
  await world.close();
});

Deno.test("Bodies that are no JSON, no UTF-8, too big or of another kind are 4xx", async () => {
  const { world, browser } = await signedIn();
  const raws: [string, string][] = [
    ["{", "application/json"],
    ["[1", "application/json"],
    ["null", "application/json"],
    ['"x"', "application/json"],
    ["{}", "text/plain"],
    ["a=%ff%fe", "application/x-www-form-urlencoded"],
    ["a=1&a=2", "application/x-www-form-urlencoded"],
    [`{"a":${"[".repeat(2000)}${"]".repeat(2000)}}`, "application/json"],
    ["x".repeat(70_000), "application/json"],
    ["x".repeat(70_000), "application/x-www-form-urlencoded"],
  ];
  for (const door of JSON_DOORS.filter((d) => !d.includes("/logout"))) {
    const [method, path] = door.split(" ") as [string, string];
    for (const [raw, type] of raws) {
      await mustBeCalm(browser, method, path, {
        raw,
        type,
        headers: { "X-CSRF-Token": browser.csrf },
      });
      world.now += 7_000;
    }
  }
  await world.close();
});

function wellFormed(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, v]) => [name, v.toWellFormed()]));
}
