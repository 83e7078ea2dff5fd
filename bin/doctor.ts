/**
 * `deno task doctor [URL]`: looks at a deployment (its configuration, the machine, the database,
 * and the server at an address) and says what is well, what is not, and what to do. It changes
 * nothing; leaves with 1 when something failed.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import type { Config } from "../config.ts";
import { checkDatabases } from "./doctor/database.ts";
import { checkMachine } from "./doctor/machine.ts";
import { type Check, linesOf, Notes, type Report, reportOf } from "./doctor/report.ts";
import { checkServer } from "./doctor/server.ts";
import { checkSettings, type Environment } from "./doctor/settings.ts";

const USAGE = `deno task doctor [URL] [--backups FOLDER] [--deep] [--json]
  URL         where the server is reached; else where this configuration listens, if it runs
  --backups   the folder in which backups are kept: is the newest one new enough?
  --deep      reads a database file through for damage
  --json      the findings as JSON
Run it with the server's own environment.`;

/** What the command line asks for. */
export interface Order {
  readonly url?: string | undefined;
  readonly backups?: string | undefined;
  readonly isDeep: boolean;
}

/** Looks at everything. */
export async function examine(env: Environment, order: Order): Promise<Report> {
  const { config, checks } = checkSettings(env);
  const machine = await checkMachine(config, order);
  const databases = config ? await checkDatabases(config, order.isDeep) : [];
  const server = await serverChecks(config, order.url, machine.pid !== undefined);
  return reportOf([...checks, ...machine.checks, ...databases, ...server]);
}

/** The server at the address given, else the one that this configuration means, if it runs. */
async function serverChecks(
  config: Config | undefined,
  url: string | undefined,
  isHeld: boolean,
): Promise<Check[]> {
  if (url !== undefined) return await checkServer(new URL(url), config);
  const notes = new Notes("server");
  if (!config || !isHeld) {
    notes.note("answers", "not looked at", "Give its URL: deno task doctor https://…");
    return notes.checks;
  }
  const host = config.host === "0.0.0.0" || config.host === "::" ? "127.0.0.1" : config.host;
  const at = host.includes(":") ? `[${host}]` : host;
  return await checkServer(new URL(`http://${at}:${config.port}`), config);
}

/** Reads the command line. Throws `TypeError`. */
export function parseOrder(args: readonly string[]): Order & { readonly isJson: boolean } {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      backups: { type: "string" },
      deep: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const [url, more] = positionals;
  if (more !== undefined) throw new TypeError(`"${more}" is one too many`);
  if (url !== undefined && !/^https?:\/\//.test(url)) {
    throw new TypeError(`"${url}" is no address: https://sync.example.org is wanted`);
  }
  return { url, backups: values.backups, isDeep: values.deep, isJson: values.json };
}

if (import.meta.main) {
  try {
    const order = parseOrder(process.argv.slice(2));
    const report = await examine(process.env as Environment, order);
    console.log(order.isJson ? JSON.stringify(report, null, 2) : linesOf(report).join("\n"));
    process.exitCode = report.ok ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
}
