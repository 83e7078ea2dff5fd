/**
 * Planted bugs: each is put into a copy of the sources, and the test that guards against it must
 * go red. A test that cannot fail proves nothing. `PLANTED=1` runs them all (about a minute);
 * otherwise only the list itself is checked: every place to plant at still stands as it is quoted.
 */
import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** What is wrong, where, the text as it is, the text with the bug, and the test file that must notice. */
// deno-fmt-ignore
const BUGS: readonly (readonly [string, string, string, string, string])[] = [
  // Passkeys
  ["crossOrigin passes", "oauth/webauthn.ts", "(crossOrigin !== undefined && crossOrigin !== false)", "false", "passkeys"],
  ["topOrigin passes", "oauth/webauthn.ts", "|| topOrigin !== undefined", "", "passkeys"],
  ["userHandle is not compared", "oauth/webauthn.ts", '.toString() === user;', '.toString() !== "";', "passkeys"],
  ["a missing userHandle passes", "oauth/webauthn.ts", 'return named !== null;', "return true;", "passkeys"],
  ["a new credential's id is not compared", "oauth/webauthn.ts", "if (credential.id !== response.id) throw notVerified();", "", "passkeys"],
  ["nobody need be verified", "oauth/webauthn.ts", "requireUserVerification: true,", "requireUserVerification: false,", "passkeys"],
  ["any origin passes", "oauth/webauthn.ts", "expectedOrigin: party.origin,", 'expectedOrigin: [party.origin, "http://localhost:9999", "https://evil.example"],', "passkeys"],
  ["any challenge passes", "oauth/webauthn.ts", "sha256(challenge) === challengeHash", "sha256(challenge) !== ''", "passkeys"],
  ["a challenge is good for ever", "store/identity.ts", "AND purpose = :purpose AND expires_at > :now", "AND purpose = :purpose AND :now > 0", "passkeys"],
  ["a challenge is good for any purpose", "store/identity.ts", "AND purpose = :purpose AND expires_at", "AND :purpose <> '' AND expires_at", "passkeys"],
  ["a cloned key's counter passes", "oauth/webauthn.ts", "counter: passkey.counter,\n", "counter: 0,\n", "passkeys"],
  ["another's challenge adds a passkey", "oauth/passkeys.ts", "if (kept.user !== session.user.id) throw notVerified();", "", "passkeys"],
  ["a taken name is created again", "store/members.ts", "WHERE NOT EXISTS (SELECT 1 FROM user WHERE username = :username)", "WHERE true", "passkeys"],
  ["the last passkey can go", "store/identity.ts", "(SELECT count(*) FROM passkey WHERE user = :user) > 1", "true", "passkeys"],
  // Sessions and recovery
  ["no CSRF token is needed", "oauth/session.ts", "if (given !== undefined && isSame(given, session.csrf)) return;", "return;", "passkeys"],
  ["any Origin may change things", "oauth/session.ts", 'if (request.headers.get("Origin") === new URL(origin).origin) return;', "return;", "passkeys"],
  ["sessions never end", "store/identity.ts", "WHERE s.hash = :hash AND s.expires_at > :now", "WHERE s.hash = :hash AND :now > 0", "passkeys"],
  ["a recovery session may do everything", "oauth/session.ts", 'session.kind === "recovery" && allow === "full"', "false", "passkeys"],
  ["a recovery code works twice", "store/identity.ts", "hash = :hash AND used_at IS NULL", "hash = :hash", "passkeys"],
  ["recovery leaves other sessions", "store/identity.ts", '{ sql: "DELETE FROM session WHERE user = :user", args: { user: session.user } },', "", "passkeys"],
  ["recovery codes may be guessed", "oauth/recovery.ts", 'deps.limits.guess(deps, c, "recover");', "", "passkeys"],
  // Tokens
  ["a token mints beyond itself", "tokens/rights.ts", "if (lineage.every((link) => covers(link.words, wanted))) return;", "return;", "tokens"],
  ["a session mints beyond its roles", "tokens/rights.ts", "const word = beyondAccess(scope, user, rooms);", "const word = undefined as ScopeWord | undefined;", "tokens"],
  ["one may bind another's agent", "tokens/rights.ts", 'return known === undefined || known.owner === user || room.role === "owner";', "return true;", "tokens"],
  ["wider siblings are listed", "oauth/grants.ts", "return caller.lineage.every((link) => covers(link.words, words));", "return true;", "tokens"],
  ["a child is patched over its parent", "oauth/grants.ts", "if (parent) mustStayWithin([{ words: parseScope(parent.scope) }], scope);", "", "tokens"],
  ["revoking spares what was minted", "store/tokens.ts", "UNION SELECT t.id FROM down JOIN token_grant AS t ON t.parent = down.id", "", "tokens"],
  ["a parent's end is not looked at", "tokens.ts", "const living = rows.every(", "const living = rows.slice(0, 1).every(", "tokens"],
  ["a child outlives a family nobody can refresh", "tokens.ts", "expiresAt: request.withRefresh ? now + REFRESH_MS : expiresAt,", "expiresAt: request.withRefresh ? null : expiresAt,", "tokens"],
  ["access tokens never end", "tokens.ts", "if (found.secret.expiresAt !== null && found.secret.expiresAt <= now) return undefined;", "", "tokens"],
  ["a refresh token that comes again only fails", "tokens.ts", "await revokeTree(store, grantId, now);\n", "", "tokens"],
  ["losing refreshes leave secrets behind", "store/tokens.ts", '"EXISTS (SELECT 1 FROM token_secret WHERE hash = :used_hash AND used_at IS NULL)"', '"EXISTS (SELECT 1 FROM token_secret WHERE hash = :used_hash)"', "tokens"],
  ["two refreshes both count", "store/tokens.ts", "SET used_at = :now WHERE hash = :hash AND used_at IS NULL", "SET used_at = :now WHERE hash = :hash", "tokens"],
  ["a grant's end is not looked at", "tokens.ts", "(g.expiresAt === null || g.expiresAt > now)", "true", "tokens"],
  ["a foreign resource's token opens", "tokens.ts", "return grant.resource === null || grant.resource === origin || grant.resource.startsWith(`${origin}/`);", "return grant.resource !== '';", "tokens"],
  ["a look-alike resource's token opens", "tokens.ts", "grant.resource.startsWith(`${origin}/`)", "grant.resource.startsWith(origin)", "tokens"],
  // OAuth
  ["PKCE is not checked", "oauth/token.ts", "|| !isSame(s256(verifier), code.codeChallenge)", "", "flows"],
  ["plain PKCE passes", "oauth/authorize.ts", 'params.get("code_challenge_method") !== "S256"', "false", "flows"],
  ["the exchange's redirect is not checked", "oauth/token.ts", 'form.get("redirect_uri") !== code.redirectUri', "false", "flows"],
  ["another client exchanges a code", "oauth/clients.ts", 'if (proof.id !== owner) {', "if (false) {", "flows"],
  ["a client's secret is not checked", "oauth/clients.ts", "!client.secretHash || !isSame(given, client.secretHash)", "false", "flows"],
  ["codes live an hour", "oauth/consent.ts", "export const CODE_MS = 60_000;", "export const CODE_MS = 3_600_000;", "flows"],
  ["two exchanges both win", "store/oauth.ts", "WHERE hash = :hash AND used_at IS NULL AND expires_at > :now RETURNING hash", "WHERE hash = :hash AND expires_at > :now RETURNING hash", "flows"],
  ["a replayed code only fails", "oauth/token.ts", "if (code.grantId !== null) {", "if (code.grantId === '') {", "flows"],
  ["a losing exchange spares the winner", "oauth/token.ts", "throw await replayed(deps, await findCode(deps.store, code.hash) ?? code);", "throw badCode();", "flows"],
  ["losing exchanges leave grants behind", "store/oauth.ts", "WHERE hash = :code_hash AND used_at IS NULL AND expires_at", "WHERE hash = :code_hash AND expires_at", "flows"],
  ["a redirect only begins as registered", "oauth/redirects.ts", "if (registered === given) return true;", "if (given.startsWith(registered)) return true;", "flows"],
  ["errors are redirected before the redirect is trusted", "oauth/authorize.ts", "if (client.redirectUris.some((registered) => meetsRedirect(registered, given))) return given;", "return given;", "flows"],
  ["javascript: may be registered", "oauth/redirects.ts", "if (FORBIDDEN_SCHEMES.has(url.protocol)) return", "if (url.protocol === '') return", "flows"],
  ["errors say nothing of the issuer", "oauth/authorize.ts", "    iss: deps.config.origin,\n", "", "flows"],
  ["a refresh widens", "oauth/token.ts", "|| covers(parseScope(grant.scope), parseScope(asked))", "|| true", "flows"],
  ["a client's refresh token refreshes without it", "oauth/grants.ts", "if (grant.client === null) return;", "return;", "flows"],
  ["introspection is for everybody", "oauth/revoke.ts", 'if (!proof || !client || client.authMethod === "none") {', "if (!client) return () => true;\n  if (!proof) {", "flows"],
  ["foreign resources are accepted", "oauth/resources.ts", "if (known.includes(text)) return text;", "return text;", "flows"],
  // Devices
  ["hasty polls pass", "oauth/device_codes.ts", "now - row.polledAt < row.intervalMs", "now < row.polledAt", "flows"],
  ["device codes never end", "oauth/device_codes.ts", 'if (row.expiresAt <= now) return "expired_token";', "", "flows"],
  ["two polls both win", "store/oauth.ts", "WHERE hash = :dev_hash AND status = 'approved' AND expires_at > :dev_now", "WHERE hash = :dev_hash AND expires_at > :dev_now", "flows"],
  ["user codes may be guessed", "oauth/consent.ts", 'deps.limits.guess(deps, c, "device", session.user.id);', "", "flows"],
  // Consent and elevation
  ["all that was asked is preselected without asking", "oauth/choices.ts", "const words = isExplicit ? asked.words : [];", "const words = isExplicit ? asked.words : [{ level: LEVEL.admin }];", "consent"],
  ["a preset reaches beyond the role", "oauth/choices.ts", "LEVEL_CHOICE[Math.min(free, reach) as Level]", "LEVEL_CHOICE[free as Level]", "consent"],
  ["read is granted as full", "oauth/choices.ts", "words.push({ room, level: CHOICE_LEVEL[choice] });", "words.push({ room, level: LEVEL.admin });", "consent"],
  ["what is ticked beyond the role is granted", "oauth/choices.ts", "mustHaveAccess(parseScope(text), user, rooms);", "parseScope(text);", "consent"],
  ["what was asked is granted unticked", "oauth/consent.ts", "const scope = await scopeChosen(deps, session, form);\n  const code", "const scope = request.scope;\n  const code", "consent"],
  ["a request is answered twice", "store/oauth.ts", "NOT EXISTS (SELECT 1 FROM used_request WHERE id = :request_id)", "true OR :request_id = ''", "consent"],
  ["a seal is not checked", "oauth/signed.ts", "!isSame(given, mac(key, purpose, payload))", "given === ''", "consent"],
  ["a seal opens for any purpose", "oauth/signed.ts", "createHmac(\"sha256\", key).update(`${purpose}\\0${text}`)", "createHmac(\"sha256\", key).update(text)", "consent"],
  ["a sealed request never ends", "oauth/signed.ts", "return expiresAt > now ?", "return now > 0 ?", "consent"],
  ["others widen a token", "oauth/elevation.ts", "if (lineage[0]?.user !== user.id) {", "if (lineage.length === 0) {", "consent"],
  ["a token is widened beyond the role", "oauth/consent.ts", "if (level > ROLE_REACH[room.role]) {", "if (level > 3) {", "consent"],
  ["a token is widened twice by one link", "store/oauth.ts", 'const unused = "NOT EXISTS (SELECT 1 FROM used_request WHERE id = :id)";', 'const unused = ":id <> \'\'";', "consent"],
  ["what limits a token is left as it is", "oauth/elevation.ts", "const changes = wideningOf(current.lineage, asked.room, level);", "const changes = wideningOf(current.lineage.slice(0, 1), asked.room, level);", "consent"],
  ["the page's form may lead anywhere", "oauth/pages.ts", "`form-action 'self'${page.formTarget ? ` ${page.formTarget}` : \"\"}`,", "", "consent"],
  ["next leads out of the service", "oauth/routes.ts", 'return url.origin === base ? url.pathname + url.search : "/manage";', "return given;", "consent"],
  // Clients by URL, rates
  ["private addresses are fetched from", "oauth/documents.ts", "const refused = addresses.find(", "const refused = [].find(", "clients"],
  ["redirects of documents pass", "oauth/documents.ts", "if (response.statusCode !== 200)", "if (response.statusCode === 500)", "clients"],
  ["a document may be of any length", "oauth/documents.ts", "if (bytes > DOCUMENT_BYTES_MAX)", "if (bytes < 0)", "clients"],
  ["a document may name another client", "oauth/clients.ts", "if (result.data.client_id !== id)", "if (false)", "clients"],
  ["buckets never refuse", "rates.ts", "if (bucket.tokens < 1) {", "if (bucket.tokens < -1e9) {", "rates"],
  ["buckets grow without end", "rates.ts", "if (this.buckets.size > this.keysMax)", "if (this.buckets.size < 0)", "rates"],
];

const FILES: Readonly<Record<string, string>> = {
  passkeys: "identity_passkeys.test.ts",
  tokens: "identity_tokens.test.ts",
  flows: "oauth_flows.test.ts",
  consent: "oauth_consent.test.ts",
  clients: "oauth_clients.test.ts",
  rates: "identity_rates.test.ts",
};

Deno.test("Every place where a bug is planted stands in the sources once or twice", async () => {
  const lost: string[] = [];
  for (const [what, path, right] of BUGS) {
    const source = await readFile(join(ROOT, path), "utf8");
    const times = squeezed(source).split(squeezed(right)).length - 1;
    if (times < 1 || times > 2) lost.push(`${what}: found ${times} times in ${path}`);
  }
  assert.deepEqual(lost, []);
});

/** Text without its layout, so that a formatter does not hide a place. */
function squeezed(text: string): string {
  return text.replace(/\s+/g, "");
}

/** Replaces text whatever the layout; every place, where there are two. */
function planted(source: string, right: string, wrong: string): string {
  const pattern = [...squeezed(right)].map((c) => c.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(
    "\\s*",
  );
  return source.replace(new RegExp(pattern, "g"), () => `${wrong} `);
}

async function copyOf(folder: string): Promise<void> {
  for (const name of await readdir(ROOT)) {
    const isWanted = ["oauth", "store", "bin", "tests"].includes(name) ||
      /\.(ts|json|lock)$/.test(name);
    if (isWanted) await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
}

/** Does the test file go red, by an assertion and not because the copy does not even run? */
async function isNoticed(folder: string, file: string): Promise<boolean> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--fail-fast", join("tests", file)],
    cwd: folder,
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.doesNotMatch(said, /ReferenceError|uncaught error|could not be parsed/);
  return code !== 0;
}

Deno.test({
  name: "Every planted bug is noticed by the test that guards against it",
  ignore: process.env["PLANTED"] !== "1",
  fn: async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "sync-planted-"));
    await copyOf(folder);
    for (const file of Object.values(FILES)) {
      await t.step(`without a bug ${file} is green`, async () => {
        assert.equal(await isNoticed(folder, file), false);
      });
    }
    for (const [what, path, right, wrong, test] of BUGS) {
      await t.step(what, async () => {
        const source = await readFile(join(folder, path), "utf8");
        await writeFile(join(folder, path), planted(source, right, wrong));
        const noticed = await isNoticed(folder, FILES[test]!)
          .finally(() => writeFile(join(folder, path), source));
        assert.ok(noticed, `nobody noticed: ${what}`);
      });
    }
    await rm(folder, { recursive: true });
  },
});
