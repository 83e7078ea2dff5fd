/**
 * The whole way in, over a real socket and with the SDK's own client: 401, discovery, registration,
 * consent with a passkey, a session in a room, and a step up, by either way.
 */
import assert from "node:assert/strict";
import {
  Client,
  type OAuthClientProvider,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { createService } from "../main.ts";
import { SYSTEM_CLOCK } from "./harness.ts";
import { type Ask, Browser, hiddenField, type Reply, type World } from "./identity_world.ts";
import { ERAS } from "./mcp_world.ts";

type KeptClient = Parameters<NonNullable<OAuthClientProvider["saveClientInformation"]>>[0];
type Discovered = Parameters<NonNullable<OAuthClientProvider["saveDiscoveryState"]>>[0];
type KeptTokens = Parameters<OAuthClientProvider["saveTokens"]>[0];

/** What a client keeps of its way in. */
class Keeper implements OAuthClientProvider {
  asked: URL | undefined;
  #client: KeptClient | undefined;
  #tokens: KeptTokens | undefined;
  #verifier = "";
  readonly redirectUrl = "http://127.0.0.1:3119/callback";
  readonly clientMetadata = {
    redirect_uris: [this.redirectUrl],
    client_name: "Tester",
    token_endpoint_auth_method: "none",
  };
  clientInformation = () => this.#client;
  saveClientInformation = (client: KeptClient) => void (this.#client = client);
  tokens = () => this.#tokens;
  saveTokens = (tokens: KeptTokens) => void (this.#tokens = tokens);
  redirectToAuthorization = (url: URL) => void (this.asked = url);
  saveCodeVerifier = (verifier: string) => void (this.#verifier = verifier);
  codeVerifier = () => this.#verifier;
  #discovered: Discovered | undefined;
  saveDiscoveryState = (state: Discovered) => void (this.#discovered = state);
  discoveryState = () => this.#discovered;
}

async function open() {
  const folder = await mkdtemp(join(tmpdir(), "sync-mcp-oauth-"));
  const holder: { fetch?: (request: Request) => Promise<Response> } = {};
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => undefined },
    (request) => holder.fetch!(request),
  );
  const env: Record<string, string> = {
    SYNC_LOG: "off",
    PORT: String(server.addr.port),
    SYNC_DB: `file:${join(folder, "sync.db")}`,
  };
  const config = readConfig((name) => env[name]);
  const service = await createService({ config, clock: SYSTEM_CLOCK });
  holder.fetch = service.fetch;
  const { origin } = config;
  const ask = async (path: string, { json, form, headers, method }: Ask = {}): Promise<Reply> => {
    const sent = new Headers(headers);
    if (json !== undefined) sent.set("Content-Type", "application/json");
    const body = json !== undefined
      ? JSON.stringify(json)
      : form && new URLSearchParams(form as Record<string, string>);
    const response = await fetch(path.startsWith("http") ? path : origin + path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: sent,
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
    return {
      status: response.status,
      text,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : undefined,
    };
  };
  const browser = new Browser({ ask, deps: { config } } as unknown as World);
  assert.equal((await browser.register("alice")).status, 200);
  const close = async () => {
    await service.close();
    await server.shutdown();
    await rm(folder, { recursive: true, force: true });
  };
  return { origin, browser, close };
}

/** The person follows the client's link and ticks. */
async function consent(origin: string, browser: Browser, url: URL, ticks: Record<string, string>) {
  const started = await browser.ask(url.href);
  assert.equal(started.status, 303, started.text);
  const page = await browser.ask(origin + started.headers.get("Location")!);
  const request = hiddenField(page.text, "request");
  const answered = await browser.submit("/auth/consent", {
    request,
    decision: "approve",
    ...ticks,
  });
  assert.equal(answered.status, 303, answered.text);
  return new URL(answered.headers.get("Location")!).searchParams;
}

for (const era of ERAS) {
  Deno.test(`${era}: a client with nothing signs in, works in a room, and steps up by itself`, async () => {
    const { origin, browser, close } = await open();
    const authProvider = new Keeper();
    const connect = () => {
      const client = new Client({ name: "Tester", version: "1" }, {
        versionNegotiation: { mode: era === "2026-07-28" ? { pin: era } : "legacy" },
      });
      const transport = new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), {
        authProvider,
      });
      return { client, transport };
    };
    const first = connect();
    await assert.rejects(first.client.connect(first.transport));
    const asked = authProvider.asked!;
    assert.equal(asked.searchParams.get("resource"), `${origin}/mcp`);
    assert.equal(asked.searchParams.get("scope"), "rooms:*:write create_rooms");
    await first.transport.finishAuth(await consent(origin, browser, asked, { create_rooms: "on" }));
    assert.equal(authProvider.tokens()?.scope, "create_rooms");
    const { client, transport } = connect();
    await client.connect(transport);
    const made = await client.callTool({ name: "sync_create_room", arguments: { id: "den" } });
    assert.ok(!made.isError, JSON.stringify(made));
    const embodied = await client.callTool({ name: "sync_embody", arguments: { room: "den" } });
    const session = (embodied.structuredContent as { _session: { agent: string } })._session;
    assert.match(session.agent, /^alice-tester/);
    await client.callTool({
      name: "sync_restrict_scope",
      arguments: { room: "den", level: "read" },
    });
    const write = {
      name: "sync_send_message",
      arguments: { room: "den", body: "hi", agent: session.agent },
    };
    authProvider.asked = undefined;
    await assert.rejects(client.callTool(write));
    const wider = authProvider.asked as URL | undefined;
    assert.ok(wider, "the client did not step up");
    assert.ok(wider.searchParams.get("scope")!.split(" ").includes("rooms:den:write"));
    await transport.finishAuth(
      await consent(origin, browser, wider, { create_rooms: "on", "level:den": "write" }),
    );
    const taken = await client.callTool({
      name: "sync_embody",
      arguments: { room: "den", agent: session.agent, take_over: true },
    });
    assert.ok(!taken.isError, JSON.stringify(taken));
    const said = await client.callTool(write);
    assert.equal((said.structuredContent as { from: string }).from, session.agent);
    await client.close();
    await close();
  });
}
