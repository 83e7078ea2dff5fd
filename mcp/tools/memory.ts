/** Tools that look at a room from outside its present: replay, and the review of its vocabulary. */
import { z } from "zod";
import { fromJson, parseContextQuery } from "../../context/query.ts";
import { invalid } from "../../errors.ts";
import { jsonObject } from "../../input.ts";
import { replay } from "../../replay.ts";
import { review } from "../../review.ts";
import { READS, type Tool } from "../call.ts";
import { contextShape, count, inRoom, WORDS, words } from "../shapes.ts";
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
      ...inRoom,
      seq: count.min(0),
      depth: z.enum(["lean", "full", "usage"]).optional(),
      only: words,
      budget: count.optional(),
    }),
    told: { only: WORDS },
    output: z.looseObject(contextShape),
    run: async (call, { room, agent, seq, ...parameters }) => {
      const asked = { budget: CONTEXT_TOKENS_DEFAULT, ...parameters };
      const query = parseContextQuery(fromJson(asked));
      const [id, reader] = [room, agent] as [string, string | undefined];
      const { hot, acting, seq: head } = await call.look(id, "replay", reader, () => undefined);
      if ((seq as number) > head) {
        throw invalid("seq", `a record's seq from 0 to ${head} is wanted`, head, { head });
      }
      return await replay(
        call.deps.store,
        hot.room,
        acting,
        seq as number,
        query,
        hot.actors,
      );
    },
  },
  {
    name: "sync_review_vocabulary",
    title: "Review the vocabulary",
    description:
      "What could mislead in a room's actions and views: gates that never open, keys nobody writes, " +
      "contested targets, what is unused; each with what to do about it.",
    verb: "vocabulary",
    annotations: READS,
    input: z.strictObject(inRoom),
    output: z.looseObject({ findings: z.array(jsonObject) }),
    run: async (call, { room, agent }) =>
      (await call.look(room as string, "vocabulary", agent as string | undefined, review)).value,
  },
];
