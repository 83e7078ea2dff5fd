/** Prompts: the three ways in that people ask for by name. */
import type { GetPromptResult, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

function said(text: string): GetPromptResult {
  return { messages: [{ role: "user", content: { type: "text", text } }] };
}

/** A prompt's argument as it stands in its text: one line, in quotes of its own. */
function quoted(value: string): string {
  return JSON.stringify(value.slice(0, 2_000));
}

const room = z.string().describe("the room's id");

/** Registers the prompts. */
export function registerPrompts(server: McpServer): void {
  server.registerPrompt("join_room", {
    title: "Join a room",
    description: "Embody an agent in a room and take part.",
    argsSchema: z.object({ room, role: z.string().optional().describe("the role to fill") }),
  }, ({ room, role }) =>
    said(
      `Join the sync room ${quoted(room)}${role ? ` in the role ${quoted(role)}` : ""}.\n` +
        "1. sync_embody it. 2. Read the context it answers: what is agreed, which actions are available, what is " +
        "addressed to you. 3. If there are no actions, read sync_help vocabulary_bootstrap. 4. Do your part with " +
        "sync_invoke_action; sync_wait for what you depend on, with since = the last seq. 5. sync_disembody when done.",
    ));
  server.registerPrompt("start_room", {
    title: "Start a room for a task",
    description: "Create a room and a vocabulary for a task that several agents share.",
    argsSchema: z.object({
      task: z.string().describe("what is to be done"),
      agents: z.string().optional().describe("who takes part, in words"),
    }),
  }, ({ task, agents }) =>
    said(
      `Start a sync room for this task: ${quoted(task)}${
        agents ? `, with ${quoted(agents)}` : ""
      }.\n` +
        "1. sync_create_room with a telling label. 2. sync_embody it as the coordinator. 3. sync_help standard_library, " +
        "and register the few actions the task needs (sync_register_action), with gates where order matters, and views " +
        "of how far it is (sync_register_view). 4. Write down the objective, define the roles, send one message of kind " +
        "task per piece of work. 5. Tell me the room's id, so that others can join, and sync_wait for results.",
    ));
  server.registerPrompt("review_vocabulary", {
    title: "Review a room's vocabulary",
    description: "Find actions that are unused, contested, unclear or too wide.",
    argsSchema: z.object({ room }),
  }, ({ room }) =>
    said(
      `Review the vocabulary of the sync room ${quoted(room)}.\n` +
        "Use sync_review_vocabulary and sync_read_context with depth usage. Look for actions nobody invokes, actions " +
        "refused again and again (their gate or parameters mislead), contested targets, writes wider than their purpose, " +
        "and missing descriptions. Propose changes; register them only after I agree.",
    ));
}
