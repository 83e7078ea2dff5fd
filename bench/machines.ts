/** Starts and stops the servers under test, each with a database in a folder of its own. */
import { Connection, jsonOf, type RequestSpec } from "../proof/client.ts";
import { fromFileUrl } from "./paths.ts";

/** What a server says of itself. */
export interface Vitals {
  /** Bytes of heap in use, after collection when it was asked to settle. */
  readonly heap: number;
  /** Bytes resident. */
  readonly rss: number;
  /** Milliseconds of processor time since its start. */
  readonly cpuMs: number;
}

/** A server under test. */
export class Machine {
  #lines: ReadableStreamDefaultReader<string>;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #control: Connection | undefined;
  port = 0;

  private constructor(private readonly child: Deno.ChildProcess, readonly folder: string) {
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#input = child.stdin.getWriter();
  }

  /** Starts the product or the floor, on a fresh database or on that of `folder`. */
  static async start(what: "product" | "floor", folder?: string): Promise<Machine> {
    const home = folder ?? await Deno.makeTempDir({ prefix: "sync-bench-" });
    const host = fromFileUrl(new URL("./host.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--v8-flags=--expose-gc", host, what, `file:${home}/bench.db`],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const machine = new Machine(child, home);
    machine.port = (await machine.line<{ port: number }>()).port;
    return machine;
  }

  private async line<T>(): Promise<T> {
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("the server under test has ended");
      text += value;
    }
    return JSON.parse(text) as T;
  }

  /** Memory and processor time; `settle` collects garbage first. */
  async vitals(settle = false): Promise<Vitals> {
    await this.#input.write(new TextEncoder().encode(settle ? "settle\n" : "now\n"));
    return await this.line<Vitals>();
  }

  /** Samples the server, its processor time or its allocations, for as long as `run` takes. */
  async sampled<T>(what: "cpu" | "heap", run: () => Promise<T>): Promise<[samples: string, T]> {
    const file = await Deno.makeTempFile({ prefix: "sync-samples-" });
    try {
      await this.order(`sample ${what}`);
      const result = await run();
      await this.order(`stop ${file}`);
      return [await Deno.readTextFile(file), result];
    } finally {
      await Deno.remove(file);
    }
  }

  private async order(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    await this.line<null>();
  }

  /** One of its metrics that has no labels; 0 when it is not there. */
  async metric(name: string): Promise<number> {
    this.#control ??= await Connection.open(this.port);
    const { body } = await this.#control.ask({ method: "GET", path: "/metrics" });
    const text = new TextDecoder().decode(body);
    return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? 0);
  }

  /** One call. Throws when it is refused. */
  async call<T>(spec: RequestSpec): Promise<T> {
    this.#control ??= await Connection.open(this.port);
    return jsonOf<T>(await this.#control.ask(spec));
  }

  /** Stops the process; its database is deleted unless it is kept. */
  async stop(keep = false): Promise<void> {
    this.#control?.close();
    await this.#input.close();
    await this.child.status;
    await this.#lines.cancel();
    if (!keep) await Deno.remove(this.folder, { recursive: true });
  }
}
