/**
 * Two instances as processes over two libSQL servers, all four killed at random while clients
 * write through whichever instance answers: nothing acknowledged is lost, nothing happens twice,
 * and the death of an instance costs nobody a write.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type LibsqlServer, openLibsqlServer } from "../proof/libsql-server.ts";
import { type ServerProcess, startServer } from "../proof/server.ts";
import { shardOf } from "../store/shards.ts";
import "./seed.ts";

const ROOMS = ["amber", "birch", "cedar", "dahlia", "elder", "fern"];
const WRITERS = 2;
const KILLS = 6;

interface Token {
  readonly room: string;
  readonly alice: string;
  readonly admin: string;
}

class Cluster {
  readonly instances: (ServerProcess | undefined)[] = [];
  readonly tokens: Token[] = [];
  isOver = false;
  /** Increments that were answered 200, by room. */
  readonly acknowledged = new Map<string, number>();
  sent = 0;

  constructor(readonly servers: readonly LibsqlServer[]) {}

  async start(i: number): Promise<void> {
    const [first, ...further] = this.servers.map(({ url }) => url);
    this.instances[i] = await startServer({
      folder: "",
      env: { SYNC_DB: first!, SYNC_SHARDS: further.join(",") },
    });
  }

  /** Asks whichever instance answers, the same thing until one does. */
  async ask(method: string, path: string, token: string | undefined, body?: unknown, key?: string) {
    const headers = key === undefined ? {} : { "Idempotency-Key": key };
    for (let attempt = 0; attempt < 600; attempt++) {
      const instance = this.instances[(this.sent + attempt) % this.instances.length];
      try {
        const signal = AbortSignal.timeout(15_000);
        const reply = await instance?.ask(method, path, { token, body, headers, signal });
        if (reply && reply.status !== 503) return reply;
      } catch (error) {
        // The instance is gone: the next one is asked.
        if (!(error instanceof TypeError) && !(error instanceof DOMException)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error("nobody answers");
  }

  async prepare(): Promise<void> {
    for (const room of ROOMS) {
      const { body: made } = await this.ask("POST", "/rooms", undefined, { id: room });
      const { body: alice } = await this.ask("POST", `/rooms/${room}/agents`, undefined, {
        id: "alice",
      });
      const params = { id: "inc", writes: [{ key: "n", increment: 1 }] };
      await this.ask("POST", `/rooms/${room}/actions/_register_action/invoke`, made.token, {
        params,
      });
      this.tokens.push({ room, alice: alice.token, admin: made.token });
    }
  }

  /** Each increment is repeated under its key until somebody acknowledges it. */
  async write({ room, alice }: Token, name: string): Promise<void> {
    for (let n = 0; !this.isOver; n++) {
      this.sent++;
      const path = `/rooms/${room}/actions/inc/invoke`;
      const reply = await this.ask("POST", path, alice, { params: {} }, `${name}-${n}`);
      assert.equal(reply.status, 200, reply.text);
      this.acknowledged.set(room, (this.acknowledged.get(room) ?? 0) + 1);
    }
  }

  async hurt(pause: number, victim: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const isInstance = victim < 2;
    if (isInstance) {
      const instance = this.instances[victim];
      this.instances[victim] = undefined;
      await instance?.kill();
      await this.start(victim);
    } else {
      const server = this.servers[victim - 2]!;
      await server.stop();
      await server.start();
    }
  }
}

Deno.test("Two instances and two servers, killed at random: every increment is there once", async () => {
  const plan = fc.sample(
    fc.tuple(fc.integer({ min: 100, max: 500 }), fc.integer({ min: 0, max: 3 })),
    { numRuns: KILLS, seed: fc.readConfigureGlobal().seed ?? 1 },
  );
  const servers = await Promise.all([openLibsqlServer(), openLibsqlServer()]);
  const cluster = new Cluster(servers);
  try {
    assert.equal(new Set(ROOMS.map((room) => shardOf(room, 2))).size, 2);
    await cluster.start(0);
    await cluster.start(1);
    await cluster.prepare();
    const writing = cluster.tokens.flatMap((token) =>
      Array.from({ length: WRITERS }, (_, i) => cluster.write(token, `w${i}`))
    );
    for (const [pause, victim] of plan) await cluster.hurt(pause, victim);
    cluster.isOver = true;
    await Promise.all(writing);
    for (const { room, admin } of cluster.tokens) {
      for (const instance of cluster.instances) {
        const { body } = await instance!.ask("GET", `/rooms/${room}/context?only=state`, {
          token: admin,
        });
        assert.equal(body.state._shared.n.value, cluster.acknowledged.get(room), room);
        const { body: verified } = await instance!.ask("GET", `/rooms/${room}/verify`, {
          token: admin,
        });
        assert.equal(verified.ok, true, JSON.stringify(verified));
      }
    }
    const left = await Promise.all(cluster.instances.map((instance) => instance!.stop()));
    assert.deepEqual(left, [0, 0]);
  } finally {
    for (const instance of cluster.instances) await instance?.kill();
    for (const server of servers) await server.dispose();
  }
});
