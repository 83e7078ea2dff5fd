/** What verify says of a database that somebody has changed behind the service's back. */
import assert from "node:assert/strict";
import { makeRoom, mustVerify, startService, type TestService } from "./harness.ts";

interface Tampering {
  readonly does: string;
  readonly sql: string;
  /** The record that verify must name, or undefined where it is the state that differs. */
  readonly seq?: number;
}

const TAMPERINGS: readonly Tampering[] = [
  {
    does: "a value in a record is changed",
    sql: `UPDATE log SET body = replace(body, '"two"', '"2"') WHERE seq = 5`,
    seq: 5,
  },
  {
    does: "who wrote it is changed",
    sql: `UPDATE log SET agent = 'bob' WHERE seq = 5`,
    seq: 5,
  },
  {
    does: "a record is taken out, which the next one misses",
    sql: "DELETE FROM log WHERE seq = 4",
    seq: 5,
  },
  { does: "the newest record is taken out", sql: "DELETE FROM log WHERE seq = 7", seq: 7 },
  {
    does: "two records change places",
    sql: "UPDATE log SET seq = CASE seq WHEN 4 THEN -5 ELSE -4 END WHERE seq IN (4, 5)",
    seq: 4,
  },
  { does: "a nonce is changed", sql: "UPDATE log SET nonce = 'x' || nonce WHERE seq = 5", seq: 5 },
  { does: "a hash is changed", sql: "UPDATE log SET hash = 'x' || hash WHERE seq = 5", seq: 5 },
  {
    does: "a value in the state is changed",
    sql: `UPDATE fold SET value = '"3"' WHERE scope = '_shared'`,
  },
  { does: "an entry is taken out of the state", sql: "DELETE FROM fold WHERE scope = '_shared'" },
  {
    does: "an entry is added to the state",
    sql:
      "INSERT INTO fold (room, scope, key, value, meta) SELECT room, '_shared', 'more', value, meta FROM fold WHERE scope = '_shared'",
  },
  {
    does: "a revision in the state is changed",
    sql:
      `UPDATE fold SET meta = replace(meta, '"revision":3', '"revision":9') WHERE scope = '_shared'`,
  },
];

async function written(): Promise<{ on: TestService; room: { id: string; admin: string } }> {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  const put = { id: "put", writes: [{ key: "k", value: "${params.v}" }] };
  await on.invoke(room.id, "_register_action", put, room.agents["alice"]);
  for (const v of ["one", "two", "three"]) {
    await on.invoke(room.id, "put", { v }, room.agents["alice"]);
  }
  // With an agent's coming the fold's rows are whole.
  await on.call("POST", `/rooms/${room.id}/agents`, { token: room.admin, body: { id: "bob" } });
  await mustVerify(on, room);
  return { on, room };
}

for (const { does, sql, seq } of TAMPERINGS) {
  Deno.test(`verify tells when ${does}, hot and after a restart`, async () => {
    let { on, room } = await written();
    await on.service.store.db.batch([
      { sql, args: {} },
      { sql: "UPDATE log SET seq = -seq WHERE seq < 0", args: {} },
    ]);
    for (let round = 0; round < 2; round++) {
      const { status, body, text } = await on.call("GET", `/rooms/${room.id}/verify`, {
        token: room.admin,
      });
      assert.equal(status, 200, text);
      assert.equal(body.ok, false, text);
      if (seq !== undefined) assert.equal(body.seq, seq, text);
      assert.equal(typeof body.detail, "string");
      on = await on.restart();
    }
    await on.close();
  });
}
