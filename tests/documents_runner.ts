/**
 * Runs what the documents show: the `bash` blocks of one document, in order, in one shell against
 * a real service on a free port. A line `# → text` says what the command above it must print;
 * `# → 409 code` a refusal, `…` anything in between. Any other failure ends the document.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../config.ts";
import { ERROR_STATUS } from "../errors.ts";
import { createService } from "../main.ts";

/** The origin that documents name; the runner puts the service's own in its place. */
export const DOCUMENTED_ORIGIN = "http://localhost:8787";

/** A fenced block of a document. */
export interface Block {
  readonly language: string;
  readonly text: string;
  /** The line of the document on which its content begins, from 1. */
  readonly line: number;
}

/** Every fenced block of a Markdown text. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const open = /^```(\S*)/.exec(lines[i]!);
    if (!open) continue;
    const start = i + 1;
    for (i = start; i < lines.length && !lines[i]!.startsWith("```"); i++);
    blocks.push({ language: open[1]!, text: lines.slice(start, i).join("\n"), line: start + 1 });
  }
  return blocks;
}

/** A part of the script: some commands and what their output must hold. */
interface Segment {
  readonly line: number;
  readonly commands: string;
  readonly expected: string | undefined;
}

function segmentsOf(blocks: readonly Block[]): Segment[] {
  const segments: Segment[] = [];
  for (const block of blocks) {
    let commands: string[] = [];
    let from = block.line;
    const lines = block.text.split("\n");
    const close = (expected: string | undefined, next: number): void => {
      if (commands.length > 0) {
        segments.push({ line: from, commands: commands.join("\n"), expected });
      } else if (expected !== undefined) {
        // A second line of expectations is about the same command.
        const last = segments.pop()!;
        segments.push({ ...last, expected: `${last.expected ?? ""}\n${expected}` });
      }
      commands = [];
      from = next;
    };
    lines.forEach((text, i) => {
      const expectation = /^# → (.*)$/.exec(text)?.[1];
      if (expectation === undefined) commands.push(text);
      else close(expectation, block.line + i + 1);
    });
    close(undefined, block.line + lines.length);
  }
  return segments;
}

/** What a segment's output lacks, or undefined when it holds what it should. */
export function missingFrom(output: string, expected: string): string | undefined {
  for (const line of expected.split("\n").filter((text) => text !== "")) {
    const refusal = /^(\d{3}) ([a-z_]+)$/.exec(line);
    if (refusal) {
      const [, status, code] = refusal;
      if (ERROR_STATUS[code as keyof typeof ERROR_STATUS] !== Number(status)) {
        return `${line} (no such refusal)`;
      }
      if (!output.includes(`"error":"${code}"`)) return line;
      continue;
    }
    let at = 0;
    for (const part of line.split("…").map((text) => text.trim())) {
      const found = output.indexOf(part, at);
      if (found < 0) return part;
      at = found + part.length;
    }
  }
  return undefined;
}

/** Runs a document's `bash` blocks against the service at `origin`. Throws naming the line that failed. */
export async function runDocument(
  name: string,
  markdown: string,
  origin: string,
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const segments = segmentsOf(blocksOf(markdown).filter(({ language }) => language === "bash"));
  if (segments.length === 0) return 0;
  const script = segments.map(({ commands }, i) => `echo; echo "@@${i}@@"\n${commands}`).join("\n");
  const body = `set -euo pipefail\n${script}\necho; echo "@@end@@"\n`;
  const child = new Deno.Command("bash", {
    args: ["-c", body.replaceAll(DOCUMENTED_ORIGIN, origin)],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout), errors = new TextDecoder().decode(stderr);
  const outputs = new Map<string, string>();
  const parts = text.split(/^@@(\w+)@@$/m);
  for (let i = 1; i + 1 < parts.length; i += 2) outputs.set(parts[i]!, parts[i + 1]!);
  segments.forEach(({ line, commands, expected }, i) => {
    const output = outputs.get(String(i)) ?? "";
    const isLast = !outputs.has(String(i + 1)) && !outputs.has("end");
    if (code !== 0 && isLast) {
      throw new Error(`${name}:${line} ends with ${code}\n${commands}\n${output}\n${errors}`);
    }
    const missing = expected === undefined ? undefined : missingFrom(output, expected);
    if (missing === undefined) return;
    throw new Error(`${name}:${line} does not print ${missing}\n${commands}\n${output}\n${errors}`);
  });
  if (code !== 0) throw new Error(`${name} ends with ${code}\n${text}\n${errors}`);
  return segments.length;
}

/** A port that nobody uses. */
export function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** A service on a socket, with the machine's clock and a database of its own. */
export interface RunningService {
  readonly origin: string;
  /** What a command on the service's own machine has in its environment. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Starts a service for documents to talk to. */
export async function serveForDocuments(): Promise<RunningService> {
  const folder = await mkdtemp(join(tmpdir(), "sync-documents-"));
  const port = freePort();
  const env: Record<string, string> = {
    PORT: String(port),
    SYNC_LOG: "off",
    SYNC_DB: `file:${join(folder, "sync.db")}`,
  };
  const service = await createService({ config: readConfig((name) => env[name]) });
  const server = Deno.serve(
    { port, hostname: "127.0.0.1", onListen: () => undefined },
    service.fetch,
  );
  return {
    origin: `http://localhost:${port}`,
    env: { SYNC_DB: env["SYNC_DB"]! },
    close: async () => {
      service.deps.waits.close();
      await server.shutdown();
      await service.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
