/** Rooms to measure, made over HTTP like anybody's. */
import type { RequestSpec } from "../proof/client.ts";
import { load } from "./load.ts";
import type { Machine } from "./machines.ts";

const WRITES = 50;

/** Where rooms are made: a server's port, and calls to it. */
type Host = Pick<Machine, "port" | "call">;

/** A room with an agent, and the calls that rows are made of. */
export class BenchRoom {
  private constructor(
    private readonly machine: Host,
    readonly id: string,
    readonly adminToken: string,
    readonly token: string,
  ) {}

  /** Creates a room, joins it as `alice`, and registers a gated increment of `count`. */
  static async create(machine: Host, id: string): Promise<BenchRoom> {
    const made = await machine.call<{ token: string }>({
      method: "POST",
      path: "/rooms",
      body: { id },
    });
    const joined = await machine.call<{ token: string }>({
      method: "POST",
      path: `/rooms/${id}/agents`,
      body: { id: "alice" },
    });
    const room = new BenchRoom(machine, id, made.token, joined.token);
    await room.register({
      id: "add",
      params: { by: { type: "number" } },
      if: '!("count" in state._shared) || state._shared.count.value < 1000000000',
      writes: [{ key: "count", increment: "${params.by}" }],
    });
    await machine.call(room.add);
    return room;
  }

  /** Another agent's token. */
  async join(id: string): Promise<string> {
    const { token } = await this.machine.call<{ token: string }>({
      method: "POST",
      path: `/rooms/${this.id}/agents`,
      body: { id },
    });
    return token;
  }

  /** Registers an action. */
  async register(params: Record<string, unknown>): Promise<void> {
    await this.machine.call(this.invoke("_register_action", params));
  }

  /** An invocation as alice. */
  invoke(action: string, params: unknown): RequestSpec {
    return {
      method: "POST",
      path: `/rooms/${this.id}/actions/${action}/invoke`,
      token: this.token,
      body: { params },
    };
  }

  /** The gated increment. */
  get add(): RequestSpec {
    return this.invoke("add", { by: 1 });
  }

  /** A read of the context as alice; `peek`, so that a read does not change what the next one is. */
  context(query: string): RequestSpec {
    return {
      method: "GET",
      path: `/rooms/${this.id}/context?peek=true&${query}`,
      token: this.token,
    };
  }

  /** Fills keys `k0`, `k1`, … with small objects. */
  async fill(keys: number): Promise<void> {
    const one = { n: "${params.base}", text: "some text as agents leave it" };
    const writes = Math.min(WRITES, keys);
    await this.register({
      id: "fill",
      writes: Array.from(
        { length: writes },
        (_, i) => ({ key: `k\${params.base}-${i}`, value: one }),
      ),
    });
    const requests = Array.from(
      { length: Math.ceil(keys / writes) },
      (_, i) => this.invoke("fill", { base: i }),
    );
    await this.run(requests, 8);
  }

  /** Sends messages of alice. */
  async talk(messages: number): Promise<void> {
    const requests = Array.from(
      { length: messages },
      (_, i) => this.invoke("_send_message", { body: `message ${i}` }),
    );
    await this.run(requests, 32);
  }

  /** Invokes the increment many times. */
  async age(invocations: number): Promise<void> {
    await this.run([this.add], 64, invocations);
  }

  private async run(
    requests: readonly RequestSpec[],
    connections: number,
    count = requests.length,
  ): Promise<void> {
    await load({ port: this.machine.port, connections, ms: 600_000, warmupMs: 0, requests, count });
  }
}
