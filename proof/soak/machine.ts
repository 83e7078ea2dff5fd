/** Starts and stops the server of a soak, on a database in a folder of its own, and asks it how it is. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Connection, jsonOf } from "../client.ts";
import { freePort } from "../libsql-server.ts";
import type { Vitals } from "./server.ts";

const SERVER = fileURLToPath(new URL("./server.ts", import.meta.url));
const START_TRIES = 1_200;
const START_PAUSE_MS = 25;

/** Bytes of the database file and of its write-ahead log. */
export interface Files {
  readonly db: number;
  readonly wal: number;
}

/** A running server. */
export class SoakMachine {
  #lines: ReadableStreamDefaultReader<string>;
  #input: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(
    private readonly child: Deno.ChildProcess,
    readonly folder: string,
    readonly port: number,
  ) {
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#input = child.stdin.getWriter();
  }

  /** Starts it on the database of a folder. Throws when it does not answer within 30 s. */
  static async start(folder: string): Promise<SoakMachine> {
    const port = await freePort();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", SERVER],
      env: {
        PORT: String(port),
        HOST: "127.0.0.1",
        SYNC_DB: `file:${join(folder, "soak.db")}`,
        SYNC_LOG: "off",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const machine = new SoakMachine(child, folder, port);
    for (let i = 0; i < START_TRIES; i++) {
      if (await machine.isReady()) return machine;
      await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
    }
    throw new Error("the server does not answer");
  }

  private async isReady(): Promise<boolean> {
    const connection = await Connection.open(this.port).catch(() => undefined);
    if (!connection) return false;
    const { status } = await connection.ask({ method: "GET", path: "/readyz" });
    connection.close();
    return status === 200;
  }

  /** Memory and processor time; `settle` collects garbage first. */
  async vitals(settle: boolean): Promise<Vitals> {
    await this.#input.write(new TextEncoder().encode(settle ? "settle\n" : "now\n"));
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("the server has ended");
      text += value;
    }
    return JSON.parse(text) as Vitals;
  }

  /** The sizes of its files, in bytes. */
  async files(): Promise<Files> {
    const size = async (name: string): Promise<number> =>
      await stat(join(this.folder, name)).then(({ size }) => size, () => 0);
    return { db: await size("soak.db"), wal: await size("soak.db-wal") };
  }

  /** The metrics it shows, by name: the sum over all labels. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const connection = await Connection.open(this.port);
    const { body } = await connection.ask({ method: "GET", path: "/metrics" });
    const text = new TextDecoder().decode(body);
    connection.close();
    const sums = new Map<string, number>();
    for (const [, name, value] of text.matchAll(/^(\w+)(?:\{.*\})? ([\d.e+-]+)$/gm)) {
      sums.set(name!, (sums.get(name!) ?? 0) + Number(value));
    }
    return sums;
  }

  /** One call. Throws when it is refused. */
  async call<T>(method: "GET" | "POST" | "DELETE", path: string, token?: string): Promise<T> {
    const connection = await Connection.open(this.port);
    try {
      return jsonOf<T>(await connection.ask({ method, path, token }));
    } finally {
      connection.close();
    }
  }

  /** Asks it to end and waits: the exit code, 0 when it ended as it should. */
  async stop(): Promise<number> {
    this.child.kill("SIGTERM");
    const { code } = await this.child.status;
    await this.#input.close().catch((error: unknown) => error);
    await this.#lines.cancel();
    return code;
  }
}
