/** Tools about a room's past: replay. */
import { z } from "zod";
import { fromJson, parseContextQuery } from "../../context/query.ts";
import { invalid } from "../../errors.ts";
import { replay } from "../../replay.ts";
import { READS, type Tool } from "../call.ts";
import { contextShape, count, room, WORDS, words } from "../shapes.ts";
import { CONTEXT_TOKENS_DEFAULT } from "./reading.ts";

/** The tools. */
export const MEMORY_TOOLS: readonly Tool[] = [
  {
    name: "sync_replay",
    title: "Replay the room",
    description: "The room as it was right after record seq, in the shape of a context.",
    verb: "replay",
    annotations: READS,
    input: z.strictObject({
      room,
      seq: count.min(0),
      depth: z.enum(["lean", "full", "usage"]).optional(),
      only: words,
      budget: count.optional(),
    }),
    told: { only: WORDS },
    output: z.looseObject(contextShape),
    run: async (call, { room, seq, ...parameters }) => {
      const asked = { budget: CONTEXT_TOKENS_DEFAULT, ...parameters };
      const query = parseContextQuery(fromJson(asked));
      const id = room as string;
      const { hot, acting, seq: head } = await call.look(id, "replay", undefined, () => undefined);
      if ((seq as number) > head) {
        throw invalid("seq", `a record's seq from 0 to ${head} is wanted`, head, { head });
      }
      return await replay(call.deps.store, hot.room, acting, seq as number, query);
    },
  },
];
