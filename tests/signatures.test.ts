/** Signed invocations: RFC 9421 against an independent implementation, and everything bent. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomUUID, sign, verify } from "node:crypto";
import { httpbis } from "http-message-signatures";
import { hashOf } from "../record.ts";
import {
  keyFromMultibase,
  parseSignatureInput,
  signatureBase,
  signatureFault,
} from "../signatures.ts";
import { bodyOf } from "../store/statements.ts";
import type { LogRecord } from "../types.ts";
import { mustVerify, ORIGIN } from "./harness.ts";
import { type Bent, type Key, makeWorld, newKey, proofOf, signedHeaders } from "./actors_world.ts";

const PATH = "/rooms/R/actions/_send_message/invoke";
const BODY = JSON.stringify({ params: { body: "signed and sealed" } });

/** A world with an agent whose actor is a key. */
async function makeSigner() {
  const world = await makeWorld();
  const key = newKey();
  const actor_proof = await proofOf(world.on, key.did, key);
  const joined = await world.join(undefined, { id: "signer", actor: key.did, actor_proof });
  assert.equal(joined.status, 201, joined.text);
  const token = joined.body.token as string;
  const post = (headers: Record<string, string>, body = BODY, path = PATH, bearer = token) =>
    world.on.call("POST", path, { token: bearer, body, headers });
  return { ...world, key, token, post };
}

Deno.test("A signed invocation is kept with its signature, shown as signed, and checked by verify", async () => {
  const { on, clock, room, key, token, post, close } = await makeSigner();
  const sent = await post(signedHeaders(key, PATH, BODY, clock.now()));
  assert.equal(sent.status, 201, sent.text);
  const log = async (as: string, query = "") =>
    (await on.call("GET", `/rooms/R/log?after=${sent.body.seq - 1}&limit=1${query}`, { token: as }))
      .body.records[0];
  assert.equal((await log(room.agents["bob"]!)).signed, true);
  const { signed } = await log(token, "&proof=true");
  assert.equal(Buffer.from(signed.body, "base64").toString(), BODY);
  assert.equal(signed.keyid, key.did);
  await mustVerify(on, room);
  const plain = await on.invoke("R", "_send_message", { body: "unsigned" }, token);
  assert.equal(plain.status, 201);
  const exported = await on.call("GET", "/rooms/R/log?format=jsonl", { token: room.admin });
  const copy = await on.call("POST", "/rooms/import?id=copy", { body: exported.text });
  assert.equal(copy.status, 201, copy.text);
  const checked = await on.call("GET", "/rooms/copy/verify", { token: copy.body.token });
  assert.equal(checked.body.ok, true, checked.text);
  await close();
});

Deno.test("verify finds a signature that does not fit its record, though every hash does", async () => {
  const { on, clock, room, key, post, close } = await makeSigner();
  await post(signedHeaders(key, PATH, BODY, clock.now()));
  const { store } = on.service;
  const { room: live } = await on.service.engine.find("R");
  const [record] = await store.readLog(live.uid, { after: live.head - 1 });
  type Part = { signature: string; key: string; body: string; components: [string, string][] };
  const part = (record: Record<string, unknown>): Part => record["signed"] as Part;
  const rows: readonly (readonly [string, RegExp, (record: Record<string, unknown>) => void])[] = [
    ["another signature", /does not fit/, (r) => {
      part(r).signature = Buffer.alloc(64, 1).toString("base64");
    }],
    ["another key", /not that of the DID/, (r) => {
      part(r).key = "0".repeat(64);
    }],
    ["another body", /cannot be read/, (r) => {
      part(r).body = Buffer.from("{}").toString("base64");
    }],
    ["another actor", /not the one that signed/, (r) => {
      r["actor"] = "did:sync:agent:other";
    }],
    ["another message", /other parameters/, (r) => {
      (r["writes"] as { value: { body: string } }[])[0]!.value.body = "forged";
    }],
    ["something unreadable", /cannot be read/, (r) => {
      r["signed"] = { keyid: 1 };
    }],
  ];
  const bent = (change: (record: Record<string, unknown>) => void): LogRecord => {
    const copy = structuredClone(record!) as unknown as Record<string, unknown>;
    change(copy);
    return { ...copy as unknown as LogRecord, hash: hashOf(copy as unknown as LogRecord) };
  };
  assert.equal(signatureFault(record!, ["R"]), undefined);
  assert.match(signatureFault(record!, ["S"])!, /another room/);
  assert.equal(signatureFault(record!, undefined), undefined);
  for (const [name, detail, change] of rows) {
    assert.match(signatureFault(bent(change), ["R"]) ?? "", detail, name);
  }
  const write = (kept: LogRecord) =>
    store.run([{
      sql: "UPDATE log SET body = :body, hash = :hash WHERE room = :room AND seq = :seq",
      args: { body: bodyOf(kept), hash: kept.hash, room: live.uid, seq: live.head },
    }]);
  await write(bent(rows[0]![2]));
  const found = await on.call("GET", "/rooms/R/verify", { token: room.admin });
  assert.equal(found.body.ok, false);
  assert.match(found.body.detail, /signature does not fit/);
  await write(record!);
  await mustVerify(on, room);
  await close();
});

Deno.test("What is bent in any way is 401 bad_signature, and nothing is recorded", async (t) => {
  const { on, clock, room, key, post, token, close } = await makeSigner();
  const now = clock.now();
  const seconds = Math.floor(now / 1000);
  const foreign = newKey();
  const used: Bent = { nonce: "once" };
  assert.equal((await post(signedHeaders(key, PATH, BODY, now, used))).status, 201);
  const before = (await on.call("GET", "/rooms/R", { token })).body.head;
  const headers = (bent: Bent = {}, by: Key = key, path = PATH, body = BODY) =>
    signedHeaders(by, path, body, now, bent);
  const rows: readonly (readonly [string, Record<string, string>, string?, string?])[] = [
    ["a replayed signature", headers(used)],
    ["a changed body", headers(), JSON.stringify({ params: { body: "changed" } })],
    ["a body and digest changed alike", {
      ...headers(),
      "Content-Digest": headers({}, key, PATH, "{}")["Content-Digest"]!,
    }, "{}"],
    ["another path", headers({ path: "/rooms/R/actions/set/invoke" })],
    ["another's key", headers({ keyid: key.did }, foreign)],
    ["a key that is no actor of this agent", headers({}, foreign)],
    ["too old", headers({ created: seconds - 301 })],
    ["too early", headers({ created: seconds + 301 })],
    ["no method covered", headers({ components: ["@path", "content-digest"] })],
    ["no path covered", headers({ components: ["@method", "content-digest"] })],
    ["no digest covered", headers({ components: ["@method", "@path"] })],
    ["an empty nonce", headers({ nonce: "" })],
    ["no signature", { "Signature-Input": headers()["Signature-Input"]! }],
    ["no input", { "Signature": headers()["Signature"]! }],
    ["garbage", { "Signature-Input": "sig1=nonsense", "Signature": "sig1=:AAAA:" }],
    ["no digest header", { ...headers(), "Content-Digest": "" }],
    ["no DID", headers({ keyid: "key-1" })],
    ["an unknown actor", headers({ keyid: "did:sync:agent:unknown" })],
    ["an unknown method of the DID", headers({ keyid: `${key.did}#other` })],
  ];
  for (const [name, sent, body] of rows) {
    await t.step(name, async () => {
      const reply = await post(sent, body ?? BODY);
      assert.equal(reply.status, 401, reply.text);
      assert.equal(reply.body.error, "bad_signature");
    });
  }
  await t.step("another agent's token", async () => {
    const reply = await post(headers(), BODY, PATH, room.agents["alice"]!);
    assert.equal(reply.body.error, "bad_signature", reply.text);
  });
  await t.step("an admin in the agent's name", async () => {
    const body = JSON.stringify({ params: { body: "x" }, agent: "signer" });
    const reply = await post(headers({}, key, PATH, body), body, PATH, room.admin);
    assert.equal(reply.body.error, "bad_signature", reply.text);
  });
  assert.equal((await on.call("GET", "/rooms/R", { token })).body.head, before);
  await close();
});

Deno.test("What http-message-signatures signs is accepted here", async () => {
  const { clock, key, post, close } = await makeSigner();
  const digest = `sha-256=:${createHash("sha256").update(BODY).digest("base64")}:`;
  for (
    const components of [
      ["@method", "@path", "content-digest"],
      ["content-digest", "@authority", "content-type", "@path", "@query", "@method"],
    ]
  ) {
    const signed = await httpbis.signMessage({
      key: {
        id: `${key.did}#${key.multibase}`,
        alg: "ed25519",
        sign: (data: Buffer) => Promise.resolve(sign(null, data, key.privateKey)),
      },
      fields: components,
      params: ["created", "keyid", "alg", "nonce"],
      paramValues: { created: new Date(clock.now()), nonce: randomUUID() },
    }, {
      method: "POST",
      url: ORIGIN + PATH,
      headers: { "content-digest": digest, "content-type": "application/json" },
    });
    const reply = await post(signed.headers as Record<string, string>);
    assert.equal(reply.status, 201, reply.text);
  }
  await close();
});

Deno.test("What is signed here is accepted there", async () => {
  const key = newKey();
  const now = Date.now();
  const headers = signedHeaders(key, PATH, BODY, now);
  const verified = await httpbis.verifyMessage({
    keyLookup: ({ keyid }: { keyid?: string }) => {
      assert.equal(keyid, key.did);
      return Promise.resolve({
        id: key.did,
        algs: ["ed25519"],
        verify: (data: Buffer, signature: Buffer) =>
          Promise.resolve(verify(null, data, key.publicKey, signature)),
      });
    },
  }, { method: "POST", url: ORIGIN + PATH, headers });
  assert.equal(verified, true);
});

Deno.test("The Ed25519 example of RFC 9421 (B.2.6) has the signature base of the RFC", () => {
  const header =
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
  assert.throws(() => parseSignatureInput(header), /content-digest|nonce/);
  const values: Record<string, string> = {
    "date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "@method": "POST",
    "@path": "/foo",
    "@authority": "example.com",
    "content-type": "application/json",
    "content-length": "18",
  };
  const base = signatureBase(
    { components: Object.keys(values), params: header.slice("sig-b26=".length) },
    (name) => values[name],
  );
  const signature = Buffer.from(
    "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    "base64",
  );
  const spki = Buffer.from(
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
    "base64",
  );
  assert.equal(
    verify(null, Buffer.from(base), { key: spki, format: "der", type: "spki" }, signature),
    true,
  );
});

Deno.test("Multibase keys are read as what they are, and nothing else is", () => {
  for (let i = 0; i < 20; i++) {
    const key = newKey();
    const raw = key.publicKey.export({ format: "der", type: "spki" }).subarray(12).toString("hex");
    assert.equal(keyFromMultibase(key.multibase), raw);
    assert.equal(keyFromMultibase(key.multibase.slice(0, -1)), undefined);
  }
  for (
    const text of ["", "z", "x6Mk", "z0OIl", "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"]
  ) {
    assert.equal(keyFromMultibase(text), undefined, text);
  }
});

Deno.test("A registered actor signs with the key that it registered", async () => {
  const world = await makeWorld();
  const key = newKey();
  const did = "did:sync:agent:keyed";
  await world.as(world.uma, "POST", "/actors", { did, public_key: key.multibase });
  const token = (await world.join(world.uma, { id: "keyed", actor: did })).body.token;
  const post = (bent: Bent) =>
    world.on.call("POST", PATH, {
      token,
      body: BODY,
      headers: signedHeaders(key, PATH, BODY, world.clock.now(), bent),
    });
  assert.equal((await post({ keyid: did })).status, 201);
  assert.equal((await post({ keyid: `${did}#key-1` })).status, 201);
  assert.equal((await post({ keyid: key.did })).status, 401, "a key is not an actor");
  const document = await world.on.call("GET", `/actors/${encodeURIComponent(did)}/did.json`);
  assert.equal(document.body.verificationMethod[0].publicKeyMultibase, key.multibase);
  await mustVerify(world.on, world.room);
  await world.close();
});
