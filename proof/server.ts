/**
 * The real server as a process of its own, for those who hurt it: started on a folder or any
 * database, under whatever command stands in front, asked over HTTP, killed, and looked into.
 */
import { fileURLToPath } from "node:url";

const SERVE = fileURLToPath(new URL("../serve.ts", import.meta.url));
const START_PAUSE_MS = 10;
const START_MS_MAX = 30_000;

/** How a server is started. */
export interface ServerOptions {
  /** Holds `sync.db`, unless the environment names another database. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that stands in front and becomes the server, such as `prlimit --fsize=…`. */
  readonly under?: readonly string[];
}

/** What goes with a request. */
export interface Ask {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A reply, read; `body` is the JSON, or undefined where the reply is none. */
export interface Answer {
  readonly status: number;
  readonly body: ReturnType<typeof JSON.parse>;
  readonly text: string;
  readonly headers: Headers;
}

/** A process that was started, ready or not. */
export interface LaunchedServer {
  readonly pid: number;
  /** What it has said so far. */
  output(): string;
  /** Has it ended? */
  isOver(): boolean;
  /** Resolves to the exit code, or to the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Sends a signal; SIGKILL unless told otherwise. Waits for nothing. */
  signal(name?: Deno.Signal): void;
  /** Ends it with SIGKILL and waits for its end. */
  kill(): Promise<void>;
}

/** A server that answers. */
export interface ServerProcess extends LaunchedServer {
  readonly origin: string;
  readonly port: number;
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** One figure of /metrics. Throws when there is none of this name. */
  figure(name: string): Promise<number>;
  /** Ends it with SIGTERM; answers how it ended. */
  stop(): Promise<number | string>;
}

/** Starts a server and does not wait for it. */
export function launchServer({ folder, env = {}, under = [] }: ServerOptions): LaunchedServer {
  const [command, ...args] = [...under, Deno.execPath(), "run", "-A", "--no-check", SERVE];
  const all = { PORT: "0", SYNC_DB: `file:${folder}/sync.db`, SYNC_LOG: "json", ...env };
  return launch(command!, { args, env: all });
}

/** Starts a process, listens to what it says, and does not wait for it. */
export function launch(
  command: string,
  options: Pick<Deno.CommandOptions, "args" | "env" | "cwd">,
): LaunchedServer {
  const child = new Deno.Command(command, { ...options, stdout: "piped", stderr: "piped" }).spawn();
  let text = "", isOver = false;
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) text += chunk;
  });
  const ended = Promise.all(reading).then(() => child.status).then(({ code, signal }) => {
    isOver = true;
    return signal ?? code;
  });
  const signal = (name: Deno.Signal = "SIGKILL"): void => {
    if (!isOver) child.kill(name);
  };
  const kill = async (): Promise<void> => {
    signal();
    await ended;
  };
  return { pid: child.pid, output: () => text, isOver: () => isOver, ended, signal, kill };
}

/** Starts a server and waits until it listens. Throws with what it said when it does not. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const launched = launchServer(options);
  const port = await listening(launched);
  const origin = `http://127.0.0.1:${port}`;
  const asked: ServerProcess["ask"] = (method, path, given) => ask(method, origin + path, given);
  return {
    ...launched,
    origin,
    port,
    ask: asked,
    figure: async (name) => {
      const { text } = await asked("GET", "/metrics");
      const found = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text);
      if (!found) throw new Error(`no figure ${name} in: ${text.slice(0, 200)}`);
      return Number(found[1]);
    },
    stop: async () => {
      launched.signal("SIGTERM");
      return await launched.ended;
    },
  };
}

async function listening(server: LaunchedServer): Promise<number> {
  const until = performance.now() + START_MS_MAX;
  while (!server.isOver() && performance.now() < until) {
    const port = /"listening".*"port":(\d+)/.exec(server.output())?.[1];
    if (port !== undefined) return Number(port);
    await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
  }
  await server.kill();
  throw new Error(`the server did not start: ${server.output()}`);
}

/** One request to any server. Throws `TypeError` when the connection breaks. */
export async function ask(method: string, url: string, given: Ask = {}): Promise<Answer> {
  const headers = new Headers(given.headers);
  if (given.token !== undefined) headers.set("Authorization", `Bearer ${given.token}`);
  const response = await fetch(url, {
    method,
    headers,
    ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) }),
    ...(given.signal ? { signal: given.signal } : {}),
  });
  const text = await response.text();
  const isJson = /\bjson\b/.test(response.headers.get("Content-Type") ?? "");
  const body = isJson ? JSON.parse(text) : undefined;
  return { status: response.status, text, headers: response.headers, body };
}
