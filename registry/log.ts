/** An actor's own log: each change is a record, chained by hash, and written with what it changes. */
import { serviceActor, userActor } from "../actors.ts";
import { sha256 } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import { partDigest, saltOf } from "../record.ts";
import {
  type ActorRecord,
  type ActorRow,
  appendActorRecord,
  findActor,
  insertActor,
} from "../store/actors.ts";
import type { Statement } from "../store/db.ts";
import { iso } from "../timers.ts";
import type { JsonObject } from "../types.ts";
import { type ActorCall, actorNotFound } from "./rights.ts";

/** The next record of an actor's log. */
function recordAfter(
  call: Pick<ActorCall, "engine" | "principal">,
  row: ActorRow,
  kind: string,
  body: JsonObject,
): ActorRecord {
  const { clock } = call.engine;
  const { user, service } = call.principal;
  const by = service ? serviceActor(service.id) : user ? userActor(user.username) : row.did;
  const open = { seq: row.head + 1, ts: iso(clock.now()), kind, by, prev: row.hash };
  const nonce = clock.nonce();
  const hash = sha256(JSON.stringify({ ...open, body: partDigest(saltOf(nonce, 0), body) }));
  return { ...open, body, nonce, hash };
}

/** Makes an actor with its first record; false when there is one of this DID. */
export async function begin(
  call: Pick<ActorCall, "engine" | "standing" | "principal">,
  row: ActorRow,
  body: JsonObject,
): Promise<boolean> {
  const record = recordAfter(call, row, "register", body);
  const isNew = await appendActorRecord(call.engine.store, row.did, record, [insertActor(row)], []);
  if (isNew) call.standing.changed(row.did);
  return isNew;
}

const ATTEMPTS = 8;

/** Changes an actor and records it; decided anew when another change came first. */
export async function change(
  call: Pick<ActorCall, "engine" | "standing" | "principal">,
  did: string,
  decide: (row: ActorRow) => { kind: string; body: JsonObject; statements: readonly Statement[] },
): Promise<void> {
  const { store } = call.engine;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const row = await findActor(store, did);
    if (!row) throw actorNotFound(did);
    const { kind, body, statements } = decide(row);
    if (await appendActorRecord(store, did, recordAfter(call, row, kind, body), [], statements)) {
      call.standing.changed(did);
      return;
    }
  }
  throw new SyncError("store_busy", "Others are changing the actor.", { actor: did }, {
    "Retry-After": "1",
  });
}
