/**
 * What the public conformance suite looks for by name: tools, resources and prompts that exist for
 * it alone. They are added to the service's own server, whose wiring is what is judged.
 */
import {
  acceptedContent,
  type CallToolResult,
  completable,
  createRequestStateCodec,
  type InputRequest,
  inputRequired,
  inputResponse,
  type McpServer,
  ResourceTemplate,
  type ServerContext,
  type ServerEventBus,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import type { McpExtension } from "../mcp/server.ts";

const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
const state = createRequestStateCodec<{ step: number }>({ key: "k".repeat(32), ttlSeconds: 600 });

const said = (text: string): CallToolResult => ({ content: [{ type: "text", text }] });
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
const image = { type: "image", data: PNG, mimeType: "image/png" } as const;
const embedded = (uri: string, mimeType: string, text: string) =>
  ({ type: "resource", resource: { uri, mimeType, text } }) as const;

/** The fixtures. */
export const FIXTURES: McpExtension = {
  options: {
    capabilities: {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
      completions: {},
    },
    requestState: { verify: state.verify },
  },
  register: (server, bus) => {
    registerContents(server);
    registerStreaming(server, bus);
    registerAsking(server);
    registerRounds(server);
    registerResources(server);
    registerPrompts(server);
  },
};

function registerContents(server: McpServer): void {
  server.registerTool(
    "test_simple_text",
    { description: "A fixture." },
    () => said("This is a simple text response for testing."),
  );
  server.registerTool(
    "test_image_content",
    { description: "A fixture." },
    () => ({ content: [image] }),
  );
  server.registerTool("test_audio_content", { description: "A fixture." }, () => ({
    content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }],
  }));
  server.registerTool("test_embedded_resource", { description: "A fixture." }, () => ({
    content: [
      embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."),
    ],
  }));
  server.registerTool("test_multiple_content_types", { description: "A fixture." }, () => ({
    content: [
      { type: "text", text: "Multiple content types test:" },
      image,
      embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
  }));
  server.registerTool("test_error_handling", { description: "A fixture." }, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
}

async function reportSteps(ctx: ServerContext): Promise<CallToolResult> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined) {
      const params = { progressToken, progress, total: 100 };
      await ctx.mcpReq.notify({ method: "notifications/progress", params });
    }
    await pause();
  }
  return said("done");
}

async function logSteps(ctx: ServerContext): Promise<CallToolResult> {
  for (
    const step of ["Tool execution started", "Tool processing data", "Tool execution completed"]
  ) {
    await ctx.mcpReq.log("info", step);
    await pause();
  }
  return said("logged");
}

function registerStreaming(server: McpServer, bus: ServerEventBus): void {
  server.registerTool("test_tool_with_progress", { description: "A fixture." }, reportSteps);
  server.registerTool("test_tool_with_logging", { description: "A fixture." }, logSteps);
  server.registerTool("test_logging_tool", { description: "A fixture." }, logSteps);
  server.registerTool("test_trigger_tool_change", { description: "A fixture." }, () => {
    bus.publish({ kind: "tools_list_changed" });
    return said("changed");
  });
  server.registerTool("test_trigger_prompt_change", { description: "A fixture." }, () => {
    bus.publish({ kind: "prompts_list_changed" });
    return said("changed");
  });
}

const DEFAULTS = {
  type: "object",
  properties: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
} as const;

const titled = (words: readonly string[], title: string) =>
  words.map((word, i) => ({ const: word, title: `${title} ${i + 1}` }));
const OPTIONS = ["option1", "option2", "option3"], VALUES = ["value1", "value2", "value3"];
const ENUMS = {
  type: "object",
  properties: {
    untitledSingle: { type: "string", enum: OPTIONS },
    titledSingle: { type: "string", oneOf: titled(VALUES, "Option") },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["One", "Two", "Three"],
    },
    untitledMulti: { type: "array", items: { type: "string", enum: OPTIONS } },
    titledMulti: { type: "array", items: { anyOf: titled(VALUES, "Choice") } },
  },
} as const;

const WHO = {
  type: "object",
  properties: { username: { type: "string" }, email: { type: "string" } },
  required: ["username", "email"],
} as const;

/** Tools that ask the client: its person, or its model. */
function registerAsking(server: McpServer): void {
  const ask = async (ctx: ServerContext, message: string, requestedSchema: unknown) => {
    const { action, content } = await ctx.mcpReq.elicitInput({ message, requestedSchema } as never);
    return said(
      `Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`,
    );
  };
  server.registerTool(
    "test_elicitation",
    { description: "A fixture.", inputSchema: z.object({ message: z.string() }) },
    ({ message }, ctx) => ask(ctx, message, WHO),
  );
  server.registerTool(
    "test_elicitation_sep1034_defaults",
    { description: "A fixture." },
    (ctx) => ask(ctx, "Review", DEFAULTS),
  );
  server.registerTool(
    "test_elicitation_sep1330_enums",
    { description: "A fixture." },
    (ctx) => ask(ctx, "Choose", ENUMS),
  );
  server.registerTool(
    "test_sampling",
    { description: "A fixture.", inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const { content } = await ctx.mcpReq.requestSampling({
        messages: [asked(prompt)],
        maxTokens: 100,
      });
      return said(`LLM response: ${JSON.stringify(content)}`);
    },
  );
}

const asked = (text: string) => ({ role: "user", content: { type: "text", text } }) as const;
const sample = (text: string, maxTokens = 100): InputRequest =>
  inputRequired.createMessage({ messages: [asked(text)], maxTokens });
const elicit = (
  message: string,
  name: string,
  type: "string" | "boolean" = "string",
): InputRequest =>
  inputRequired.elicit({
    message,
    requestedSchema: {
      type: "object",
      properties: { [name]: type === "string" ? { type } : { type } },
      required: [name],
    },
  });

/** Tools that need several rounds with the client. */
function registerRounds(server: McpServer): void {
  const once = (name: string, key: string, request: () => InputRequest) =>
    server.registerTool(name, { description: "A fixture." }, ({ mcpReq }) => {
      const answer = inputResponse(mcpReq.inputResponses, key);
      const isAnswered = answer.kind !== "missing" &&
        (answer.kind !== "elicit" || answer.content !== undefined);
      if (!isAnswered) return inputRequired({ inputRequests: { [key]: request() } });
      return said(JSON.stringify(answer));
    });
  server.registerTool(
    "test_input_required_result_elicitation",
    { description: "A fixture." },
    ({ mcpReq }) => {
      const given = acceptedContent(
        mcpReq.inputResponses,
        "user_name",
        z.object({ name: z.string() }),
      );
      if (given) return said(`Hello, ${given.name}!`);
      return inputRequired({ inputRequests: { user_name: elicit("What is your name?", "name") } });
    },
  );
  once(
    "test_input_required_result_sampling",
    "capital_question",
    () => sample("What is the capital of France?"),
  );
  once("test_input_required_result_list_roots", "client_roots", () => inputRequired.listRoots());
  once("test_missing_capability", "thought", () => sample("Think"));
  once("test_streaming_elicitation", "user_name", () => elicit("What is your name?", "name"));
  server.registerTool(
    "test_input_required_result_capabilities",
    { description: "A fixture." },
    () => {
      const able = server.server.getClientCapabilities() ?? {};
      const inputRequests = {
        ...("sampling" in able ? { thought: sample("Think") } : {}),
        ...("elicitation" in able ? { user_name: elicit("What is your name?", "name") } : {}),
      };
      return inputRequired({ inputRequests });
    },
  );
  for (
    const name of [
      "test_input_required_result_request_state",
      "test_input_required_result_tampered_state",
    ]
  ) {
    server.registerTool(name, { description: "A fixture." }, async (ctx) => {
      if (ctx.mcpReq.requestState() !== undefined && ctx.mcpReq.inputResponses) {
        return said("state-ok");
      }
      const requestState = await state.mint({ step: 1 }, ctx);
      return inputRequired({
        inputRequests: { confirm: elicit("Please confirm", "ok", "boolean") },
        requestState,
      });
    });
  }
  server.registerTool(
    "test_input_required_result_multiple_inputs",
    { description: "A fixture." },
    async (ctx) => {
      const given = ctx.mcpReq.inputResponses ?? {};
      if (["user_name", "greeting", "client_roots"].every((key) => key in given)) {
        return said(JSON.stringify(given));
      }
      const inputRequests = {
        user_name: elicit("What is your name?", "name"),
        greeting: sample("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      };
      return inputRequired({ inputRequests, requestState: await state.mint({ step: 1 }, ctx) });
    },
  );
  server.registerTool(
    "test_input_required_result_multi_round",
    { description: "A fixture." },
    async (ctx) => {
      const round = ctx.mcpReq.requestState<{ step: number }>()?.step ?? 0;
      if (round === 2) return said("both steps done");
      const requestState = await state.mint({ step: round + 1 }, ctx);
      return round === 0
        ? inputRequired({
          inputRequests: { step1: elicit("Step 1: What is your name?", "name") },
          requestState,
        })
        : inputRequired({
          inputRequests: { step2: elicit("Step 2: What is your favorite color?", "color") },
          requestState,
        });
    },
  );
}

function registerResources(server: McpServer): void {
  const uri = "test://static-text",
    binary = "test://static-binary",
    watched = "test://watched-resource";
  server.registerResource("static-text", uri, { mimeType: "text/plain" }, () => ({
    contents: [{
      uri,
      mimeType: "text/plain",
      text: "This is the content of the static text resource.",
    }],
  }));
  server.registerResource("static-binary", binary, { mimeType: "image/png" }, () => ({
    contents: [{ uri: binary, mimeType: "image/png", blob: PNG }],
  }));
  server.registerResource("watched", watched, { mimeType: "text/plain" }, () => ({
    contents: [{ uri: watched, mimeType: "text/plain", text: "watched" }],
  }));
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  server.registerResource(
    "template",
    template,
    { mimeType: "application/json" },
    (found, { id }) => ({
      contents: [{
        uri: found.href,
        mimeType: "application/json",
        text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
      }],
    }),
  );
}

function registerPrompts(server: McpServer): void {
  const user = "user" as const;
  const tells = (text: string) => ({
    messages: [{ role: user, content: { type: "text" as const, text } }],
  });
  server.registerPrompt(
    "test_simple_prompt",
    { description: "A fixture." },
    () => tells("This is a simple prompt for testing."),
  );
  const word = completable(
    z.string(),
    (value) => ["paris", "park"].filter((one) => one.startsWith(value)),
  );
  server.registerPrompt("test_prompt_with_arguments", {
    description: "A fixture.",
    argsSchema: z.object({ arg1: word, arg2: z.string() }),
  }, ({ arg1, arg2 }) => tells(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`));
  server.registerPrompt("test_prompt_with_embedded_resource", {
    description: "A fixture.",
    argsSchema: z.object({ resourceUri: z.string() }),
  }, ({ resourceUri }) => ({
    messages: [
      {
        role: user,
        content: embedded(resourceUri, "text/plain", "Embedded resource content for testing."),
      },
      ...tells("Please process the embedded resource above.").messages,
    ],
  }));
  server.registerPrompt("test_prompt_with_image", { description: "A fixture." }, () => ({
    messages: [
      { role: user, content: image },
      ...tells("Please analyze the image above.").messages,
    ],
  }));
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "A fixture." },
    ({ mcpReq }) => {
      const given = acceptedContent(
        mcpReq.inputResponses,
        "user_context",
        z.object({ context: z.string() }),
      );
      if (given) return tells(`Use this context: ${given.context}`);
      return inputRequired({
        inputRequests: { user_context: elicit("What context should the prompt use?", "context") },
      });
    },
  );
}
