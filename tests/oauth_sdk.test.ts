/**
 * Two more oracles against the real routes on a real socket: the MCP SDK's client, and the official
 * authorization-server scenarios. A token-gated resource stands in for `/mcp`.
 */
import assert from "node:assert/strict";
import { auth, type OAuthClientProvider } from "@modelcontextprotocol/client";
import { tmpdir } from "node:os";
import { Browser, hiddenField, World } from "./identity_world.ts";

async function serve(fetchDocument?: (url: URL) => Promise<string>) {
  const holder: { world?: World } = {};
  const answer = async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname === "/mcp") return await resource(holder.world!, request);
    return await holder.world!.app.fetch(request);
  };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, answer);
  const env = { PORT: String(server.addr.port) };
  const world = await World.open(fetchDocument ? { env, fetchDocument } : { env });
  holder.world = world;
  const origin = world.deps.config.origin;
  const browser = new Browser(world);
  assert.equal((await browser.register("alice")).status, 200);
  const close = async () => {
    await server.shutdown();
    await world.close();
  };
  return { world, origin, browser, close };
}

async function resource(world: World, request: Request): Promise<Response> {
  const token = request.headers.get("Authorization")?.replace(/^Bearer /, "");
  const isGood = token !== undefined && (await world.ask("/tokens", { token })).status === 200;
  if (isGood) return new Response("in");
  const metadata = `${world.deps.config.origin}/.well-known/oauth-protected-resource/mcp`;
  return new Response("out", {
    status: 401,
    headers: { "WWW-Authenticate": `Bearer resource_metadata="${metadata}"` },
  });
}

/** The person: follows the client's link, ticks, and comes back with the callback's parameters. */
async function approve(
  origin: string,
  browser: Browser,
  url: URL,
  ticks: Record<string, string>,
): Promise<URLSearchParams> {
  const started = await browser.ask(url.href);
  assert.equal(started.status, 303, started.text);
  const page = await browser.ask(origin + started.headers.get("Location")!);
  const answered = await browser.submit(`${origin}/auth/consent`, {
    request: hiddenField(page.text, "request"),
    decision: "approve",
    ...ticks,
  });
  assert.equal(answered.status, 303, answered.text);
  return new URL(answered.headers.get("Location")!).searchParams;
}

type KeptClient = Parameters<NonNullable<OAuthClientProvider["saveClientInformation"]>>[0];
type Discovered = Parameters<NonNullable<OAuthClientProvider["saveDiscoveryState"]>>[0];
type KeptTokens = Parameters<OAuthClientProvider["saveTokens"]>[0];

/** A client's memory, as the SDK wants it. */
class Memory implements OAuthClientProvider {
  asked: URL | undefined;
  #client: KeptClient | undefined;
  #tokens: KeptTokens | undefined;
  #verifier = "";
  readonly redirectUrl = "http://127.0.0.1:3118/callback";
  readonly clientMetadata = {
    redirect_uris: [this.redirectUrl],
    client_name: "SDK client",
    token_endpoint_auth_method: "none",
  };
  readonly clientMetadataUrl?: string;
  constructor(url: string | undefined) {
    if (url !== undefined) this.clientMetadataUrl = url;
  }
  #discovered: Discovered | undefined;
  saveDiscoveryState = (state: Discovered) => void (this.#discovered = state);
  discoveryState = () => this.#discovered;
  state = () => "a-state";
  clientInformation = () => this.#client;
  saveClientInformation = (client: KeptClient) => void (this.#client = client);
  tokens = () => this.#tokens;
  saveTokens = (tokens: KeptTokens) => void (this.#tokens = tokens);
  redirectToAuthorization = (url: URL) => void (this.asked = url);
  saveCodeVerifier = (verifier: string) => void (this.#verifier = verifier);
  codeVerifier = () => this.#verifier;
}

const CLIENT_URL = "https://client.example/oauth/client.json";

for (const [how, url] of [["registered", undefined], ["named by URL", CLIENT_URL]] as const) {
  Deno.test(`The MCP SDK's client (${how}) discovers, authorizes, exchanges and refreshes by itself`, async () => {
    const document = {
      client_id: CLIENT_URL,
      client_name: "By URL",
      redirect_uris: ["http://127.0.0.1:3118/callback"],
    };
    const { world, origin, browser, close } = await serve(() =>
      Promise.resolve(JSON.stringify(document))
    );
    const client = new Memory(url);
    const serverUrl = `${origin}/mcp`;
    const first = await fetch(serverUrl);
    assert.equal(first.status, 401);
    await first.body?.cancel();
    assert.equal(await auth(client, { serverUrl, scope: "rooms:*:read" }), "REDIRECT");
    assert.equal(client.asked!.searchParams.get("resource"), serverUrl);
    assert.equal(client.asked!.searchParams.get("client_id")!.startsWith(url ?? "client_"), true);
    const back = await approve(origin, browser, client.asked!, { all: "read" });
    const iss = back.get("iss")!;
    assert.equal(iss, origin);
    const done = await auth(client, { serverUrl, authorizationCode: back.get("code")!, iss });
    assert.equal(done, "AUTHORIZED");
    const tokens = client.tokens()!;
    assert.equal(tokens.scope, "rooms:*:read");
    const inside = await fetch(serverUrl, {
      headers: { Authorization: `Bearer ${tokens.access_token}` },
    });
    assert.equal(await inside.text(), "in");
    world.now += 3_600_000;
    assert.equal(await auth(client, { serverUrl }), "AUTHORIZED", "it refreshes");
    assert.notEqual(client.tokens()!.access_token, tokens.access_token);
    const later = await fetch(serverUrl, {
      headers: { Authorization: `Bearer ${client.tokens()!.access_token}` },
    });
    assert.equal(await later.text(), "in");
    await close();
  });
}

Deno.test("The official authorization-server scenarios pass", async () => {
  const { world, origin, browser, close } = await serve();
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const registered = await world.ask(`${origin}/oauth/register`, {
    json: {
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      token_endpoint_auth_method: "none",
    },
  });
  const suite = "npm:@modelcontextprotocol/conformance@0.2.0-alpha.12";
  const options = [
    "--url",
    origin,
    "--client-id",
    registered.body.client_id,
    "--resource",
    `${origin}/mcp`,
  ];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      "--no-config",
      suite,
      "authorization",
      ...options,
      "-p",
      String(port),
    ],
    cwd: tmpdir(),
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(90_000),
  }).spawn();
  let said = "";
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    let isAnswered = false;
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      said += text;
      const link = /http:\/\/localhost:\d+\/oauth\/authorize\?\S+/.exec(said);
      if (!link || isAnswered) continue;
      isAnswered = true;
      const back = await approve(origin, browser, new URL(link[0]), { all: "read" });
      const landed = await fetch(`http://127.0.0.1:${port}/callback?${back}`);
      await landed.body?.cancel();
    }
  };
  await Promise.all([read(child.stdout), read(child.stderr)]);
  assert.equal((await child.status).code, 0, said);
  assert.match(said, /metadata-endpoint: 2 passed, 0 failed/);
  assert.match(said, /authorization-code-grant: 1 passed, 0 failed/);
  await close();
});
