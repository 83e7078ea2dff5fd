/**
 * The places that host tests run in: a copy of what an image holds, a copy as a val, and processes
 * with the permissions that a host would give them.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../proof/libsql-server.ts";
import { launch } from "../proof/server.ts";

/** Where the repository lies. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));
const START_PAUSE_MS = 20;
const START_MS_MAX = 30_000;

/** A folder that is gone afterwards. */
export async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sync-hosts-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Copies what an image holds: the repository without what `.dockerignore` names. */
export async function copyAsImage(to: string): Promise<void> {
  const ignored = (await readFile(join(ROOT, "deploy/Containerfile.dockerignore"), "utf8"))
    .split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const skipped = new Set(ignored.map((line) => line.replace(/\/$/, "")));
  const copy = async (folder: string): Promise<void> => {
    await mkdir(join(to, folder), { recursive: true });
    for (const entry of await readdir(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (skipped.has(path)) continue;
      if (entry.isDirectory()) await copy(path);
      else await cp(join(ROOT, path), join(to, path));
    }
  };
  await copy("");
}

/** Writes files by their path. */
export async function writeFiles(to: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [path, text] of files) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await writeFile(join(to, path), text);
  }
}

/** Runs Deno to its end; answers its standard output. Throws with what it said on failure. */
export async function runDeno(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const output = await new Deno.Command(Deno.execPath(), { args: [...args], cwd, env }).output();
  const [out, said] = [output.stdout, output.stderr].map((part) => new TextDecoder().decode(part));
  if (output.code !== 0) throw new Error(`deno ${args.join(" ")}: ${out}${said}`);
  return out!;
}

/** A service in a process of its own. */
export interface Hosted {
  readonly url: string;
  /** What its users are told: passkeys need a name. */
  readonly origin: string;
  output(): string;
  /** Sends a signal; answers how the process ended. */
  stop(signal?: Deno.Signal): Promise<number | string>;
}

/** How a process is started. */
export interface HostOptions {
  readonly cwd: string;
  /** Deno's arguments; `PORT` alone stands for the port it has to listen on. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a process and waits until it answers. Throws with what it said when it does not. */
export async function host({ cwd, args, env }: HostOptions): Promise<Hosted> {
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`, origin = `http://localhost:${port}`;
  const child = launch(Deno.execPath(), {
    args: args.map((arg) => arg === "PORT" ? port : arg),
    cwd,
    env: { PORT: port, SYNC_ORIGIN: origin, ...env },
  });
  const stop: Hosted["stop"] = async (signal = "SIGKILL") => {
    child.signal(signal);
    return await child.ended;
  };
  const until = performance.now() + START_MS_MAX;
  while (!await answers(url)) {
    if (child.isOver() || performance.now() > until) {
      await stop();
      throw new Error(`deno ${args.join(" ")} does not answer: ${child.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
  }
  return { url, origin, output: child.output, stop };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`);
    await response.body?.cancel();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/** Runs something against a process, and ends that whatever happens. */
export async function withHost(started: Promise<Hosted>, run: (on: Hosted) => Promise<void>) {
  const on = await started;
  try {
    await run(on);
  } catch (error) {
    throw new Error(`on this host: ${on.output()}`, { cause: error });
  } finally {
    await on.stop();
  }
}
