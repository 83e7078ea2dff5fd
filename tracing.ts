/**
 * Spans, for whoever runs a collector (`OTEL_*`). Off, every function here is one comparison and
 * nothing of OpenTelemetry is loaded. A span names verbs and counts: never a room, a key, an
 * expression or a value.
 */
import type { Config } from "./config.ts";

/** What a span says beside its name. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** What is told of a span when it begins. */
export interface SpanFacts {
  readonly attributes?: SpanAttributes;
  /** Records on whose writers' behalf this happens: it hangs below one writer and links to the others. */
  readonly writes?: readonly object[];
}

/** A span under way, as those see it who run inside it. */
export interface Running {
  /** Tells something more of it. */
  note(name: string, value: string | number): void;
  /** Links it to the span that wrote a record. */
  follow(record: object | undefined): void;
}

/** Headers that hand a trace on. */
export type TraceHeaders = Readonly<Record<string, string>>;

/** Whoever takes spans. */
export interface Spans {
  traceId(): string | undefined;
  noteWrite(record: object): void;
  request(
    request: Request,
    name: string,
    attributes: SpanAttributes,
    run: () => Promise<Response>,
  ): Promise<Response>;
  within<T>(name: string, facts: SpanFacts, run: (running: Running) => Promise<T>): Promise<T>;
  call<T>(name: string, call: (headers: TraceHeaders) => Promise<T>): Promise<T>;
}

const NOT_RUNNING: Running = { note: () => undefined, follow: () => undefined };

let spans: Spans | undefined;

/** Are spans taken at all? */
export function isTracing(): boolean {
  return spans !== undefined;
}

/**
 * Begins to send spans as configured; the answer sends what is left, and ends it. `onTrouble`
 * hears of the first time that they do not arrive.
 */
export async function startTracing(
  { tracing }: Pick<Config, "tracing">,
  onTrouble: (what: string) => void,
): Promise<() => Promise<void>> {
  if (spans || !tracing) return () => Promise.resolve();
  const { startSdk } = await import("./tracing/sdk.ts");
  const started = startSdk(tracing, onTrouble);
  spans = started.spans;
  return async () => {
    spans = undefined;
    await started.stop();
  };
}

/** The trace that what runs now belongs to. */
export function traceId(): string | undefined {
  return spans?.traceId();
}

/** Notes that what runs now wrote this record. */
export function noteWrite(record: object): void {
  spans?.noteWrite(record);
}

/** Runs a request in a span that goes on from the caller's `traceparent`. */
export async function tracedRequest(
  request: Request,
  name: string,
  attributes: SpanAttributes,
  run: () => Promise<Response>,
): Promise<Response> {
  return spans ? await spans.request(request, name, attributes, run) : await run();
}

/** Runs something in a span of its own. */
export async function traced<T>(
  name: string,
  facts: SpanFacts,
  run: (running: Running) => Promise<T>,
): Promise<T> {
  return spans ? await spans.within(name, facts, run) : await run(NOT_RUNNING);
}

/** Calls another service in a span of its own, given the headers that hand the trace on. */
export async function tracedCall<T>(
  name: string,
  call: (headers: TraceHeaders) => Promise<T>,
): Promise<T> {
  return spans ? await spans.call(name, call) : await call({});
}
