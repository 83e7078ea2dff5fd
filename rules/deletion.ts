/** Taking a definition out of the vocabulary: actions and views alike. */
import { z } from "zod";
import { type Acting, authorship } from "../auth.ts";
import type { Decision, Moment } from "../engine/types.ts";
import type { SyncError } from "../errors.ts";
import { parseBody } from "../input.ts";
import type { Room } from "../room.ts";
import { hasAuthority } from "../rules.ts";
import { callerEyes, Sight } from "../sight.ts";
import type { Json, JsonObject, Write } from "../types.ts";

/** What can be deleted, and what is said when it cannot. */
export interface Deletable {
  readonly scope: "_actions" | "_views";
  /** The built-in that deletes it. */
  readonly action: "_delete_action" | "_delete_view";
  readonly example: string;
  /** The definition of this id. */
  find(room: Room, id: string): { readonly scope: string } | undefined;
  /** The refusal to a reader when there is none. */
  missing(reader: Sight, id: string): SyncError;
  /** The refusal to who has no authority over the definition's scope. */
  owned(id: string, scope: string): SyncError;
}

/** Decides a deletion: it takes authority over the definition's scope. Throws the kind's refusals. */
export function decideDeletion(
  kind: Deletable,
  { hot, room, now }: Moment,
  acting: Acting,
  raw: Json,
): Decision<JsonObject> {
  const { scope, action, example } = kind;
  const { id } = parseBody(z.strictObject({ id: z.string() }), raw, {
    example: { id: example },
    at: "params",
  });
  const known = kind.find(room, id);
  if (!known) {
    const caller = callerEyes(room, acting.agent, acting.seesAll);
    throw kind.missing(new Sight(hot, caller, now), id);
  }
  if (!hasAuthority(room, acting, known.scope)) throw kind.owned(id, known.scope);
  const write: Write = { scope, key: id, op: "delete", value: null, revision: 0, version: "" };
  return {
    draft: {
      ...authorship(acting, room),
      kind: "invoke",
      action,
      params: raw,
      writes: [write],
    },
    reply: (record) => ({
      invoked: true,
      action,
      agent: acting.agent,
      seq: record?.seq ?? room.head,
      deleted: true,
      id,
    }),
  };
}
