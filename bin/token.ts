/**
 * `deno task token --user NAME --scope "…"`: the operator's way in without a browser. It writes
 * to the database that `SYNC_DB` names, also beside a running server, and prints the token alone
 * on standard output; everything else goes to standard error.
 */
import { parseArgs } from "node:util";
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { readConfig } from "../config.ts";
import { invalid, SyncError } from "../errors.ts";
import { EVENTS_KEPT } from "../oauth/audit.ts";
import { parseUsername } from "../oauth/people.ts";
import { hashCode, newRecoveryCode } from "../oauth/recovery.ts";
import { beyondAccess, namedRooms } from "../tokens/rights.ts";
import { parseScope } from "../scopes.ts";
import { Store } from "../store.ts";
import { addRecoveryCode } from "../store/identity.ts";
import { insertEvent, listMemberRooms } from "../store/security.ts";
import { findUser, insertUser } from "../store/members.ts";
import { ACCESS_MS, mint } from "../tokens.ts";

const DAY_MS = 86_400_000;
const USAGE =
  `deno task token --user NAME --scope "rooms:* create_rooms" [--label TEXT] [--days 30] [--refresh]
deno task token --user NAME --recover     prints a recovery code, to add a passkey with at /recover`;

/** What the command line asks for. */
export interface Order {
  readonly user: string;
  readonly scope: string;
  readonly label: string;
  readonly days: number;
  readonly withRefresh: boolean;
  readonly recover: boolean;
}

/** Reads the command line. Throws `invalid_argument`. */
export function parseOrder(args: readonly string[]): Order {
  const { values } = parseArgs({
    args: [...args],
    options: {
      user: { type: "string" },
      scope: { type: "string" },
      label: { type: "string", default: "operator" },
      days: { type: "string", default: "30" },
      refresh: { type: "boolean", default: false },
      recover: { type: "boolean", default: false },
    },
  });
  if (values.user === undefined) throw invalid("--user", "a username is wanted", "--user alice");
  if (values.scope === undefined && !values.recover) {
    throw invalid("--scope", "a scope is wanted", '--scope "rooms:* create_rooms"');
  }
  const days = Number(values.days);
  if (!Number.isInteger(days) || days < 1 || days > 3650) {
    throw invalid("--days", "1 to 3650 is wanted", "--days 30");
  }
  return {
    user: parseUsername(values.user),
    scope: values.scope ?? "",
    label: values.label,
    days,
    withRefresh: values.refresh,
    recover: values.recover,
  };
}

/** Does what is asked: the lines to print, and warnings. */
export async function carryOut(
  store: Store,
  order: Order,
  now: number,
): Promise<{ lines: string[]; warnings: string[] }> {
  await store.run([insertUser(randomUUID(), order.user, now)]);
  const user = (await findUser(store, order.user))!;
  if (order.recover) {
    const code = newRecoveryCode();
    await addRecoveryCode(store, user.id, hashCode(code), now);
    return { lines: [code], warnings: [] };
  }
  const scope = parseScope(order.scope);
  const rooms = await listMemberRooms(store, user.id, namedRooms(scope));
  const beyond = beyondAccess(scope, user.id, rooms);
  const warnings = beyond?.room === undefined ? [] : [
    `"${order.user}" has no such access to the room "${beyond.room}": there the token reaches nothing (yet).`,
  ];
  const minted = mint({
    kind: "tok",
    scope: order.scope,
    user: user.id,
    label: order.label,
    expiresIn: order.withRefresh ? ACCESS_MS : order.days * DAY_MS,
    withRefresh: order.withRefresh,
  }, now);
  await store.run(minted.statements);
  const detail = { token: minted.grant.id, scope: minted.grant.scope, by: "operator" };
  await insertEvent(store, user.id, { at: now, kind: "token_minted", detail }, EVENTS_KEPT);
  return { lines: [minted.token, ...(minted.refreshToken ? [minted.refreshToken] : [])], warnings };
}

if (import.meta.main) {
  try {
    const order = parseOrder(process.argv.slice(2));
    const config = readConfig((name) => process.env[name]);
    if (config.db.startsWith("file:")) {
      const folder = dirname(config.db.slice("file:".length));
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    const store = await Store.open({
      url: config.db,
      shards: config.shards,
      ...(config.dbToken === undefined ? {} : { authToken: config.dbToken }),
    });
    const { lines, warnings } = await carryOut(store, order, Date.now());
    for (const warning of warnings) console.error(warning);
    for (const line of lines) console.log(line);
    store.close();
  } catch (error) {
    const hint = error instanceof SyncError && error.facts.hint ? `\n${error.facts.hint}` : "";
    console.error(`${(error as Error).message}${hint}\n\n${USAGE}`);
    process.exitCode = 1;
  }
}
