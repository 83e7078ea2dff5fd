/** Members that many tools share, and the shapes of what they answer. Loose: replies may carry more. */
import { z } from "zod";
import { json, jsonObject } from "../input.ts";

/** The room a tool is about. */
export const room = z.string({ error: "a room's id is wanted" });

/** The acting agent; needed only when the token stands for several. */
export const agent = z.string().optional();

/** The room, and who acts in it. */
export const inRoom = { room, agent };

/** A list of words, also as one text with commas. */
export const words = z.union([z.array(z.string()), z.string()]).optional();

/** How a list of words is described. */
export const WORDS = { type: "array", items: { type: "string" } } as const;

/** A whole number. */
export const count = z.number().int();

/** A context, whole or in parts. */
export const contextShape = {
  seq: count.optional(),
  state: jsonObject.optional(),
  views: jsonObject.optional(),
  agents: jsonObject.optional(),
  actions: jsonObject.optional(),
  messages: jsonObject.optional(),
  self: z.string().optional(),
};

/** What an invocation answers. */
export const invokedShape = {
  invoked: z.boolean().optional(),
  action: z.string(),
  agent: z.string(),
  seq: count.optional(),
};

/** Rooms of a list. */
export const roomsShape = {
  rooms: z.array(jsonObject),
  total: count,
  next_cursor: z.string().optional(),
};

/** Anything. */
export const anything = json;
