/**
 * Spans, for whoever runs a collector (`OTEL_*`). Off, every function here is one comparison. A
 * span names verbs and counts: never a room, a key, an expression or a value.
 */
import {
  type Attributes,
  type Context,
  context,
  type Link,
  propagation,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from "@opentelemetry/api";
import type { Config } from "./config.ts";

/** What is told of a span when it begins. */
export interface SpanFacts {
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
  /** Records on whose writers' behalf this happens: the first is the parent, all are linked. */
  readonly writes?: readonly object[];
}

/** A span under way, as those see it who run inside it. */
export interface Running {
  /** Tells something more of it. */
  note(name: string, value: string | number): void;
  /** Links it to the span that wrote a record. */
  follow(record: object | undefined): void;
}

const SAMPLED: number = TraceFlags.SAMPLED;

const NOT_RUNNING: Running = { note: () => undefined, follow: () => undefined };

let isOn = false;
/** The span in which a record was written, as long as the record is in memory. */
const writers = new WeakMap<object, SpanContext>();

function tracer() {
  return trace.getTracer("sync");
}

/** Are spans taken at all? */
export function isTracing(): boolean {
  return isOn;
}

/**
 * Begins to send spans as configured; the answer sends what is left, and ends it. `onTrouble`
 * hears of the first time that they do not arrive.
 */
export async function startTracing(
  { tracing }: Pick<Config, "tracing">,
  onTrouble: (what: string) => void,
): Promise<() => Promise<void>> {
  if (isOn || !tracing) return () => Promise.resolve();
  const { startSdk } = await import("./tracing/sdk.ts");
  const stop = startSdk(tracing, onTrouble);
  isOn = true;
  return async () => {
    isOn = false;
    await stop();
  };
}

/** The trace that what runs now belongs to. */
export function traceId(): string | undefined {
  return isOn ? trace.getActiveSpan()?.spanContext().traceId : undefined;
}

/** Calls another service in a span of its own, given the headers that hand the trace on. */
export async function tracedCall<T>(
  name: string,
  call: (headers: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  if (!isOn) return await call({});
  return await traced(name, { kind: SpanKind.CLIENT }, () => {
    const headers: Record<string, string> = {};
    propagation.inject(context.active(), headers);
    return call(headers);
  });
}

/** Notes that what runs now wrote this record. */
export function noteWrite(record: object): void {
  if (!isOn) return;
  const span = trace.getActiveSpan();
  if (span) writers.set(record, span.spanContext());
}

/** Runs a request in a span that goes on from the caller's `traceparent`. */
export async function tracedRequest(
  request: Request,
  name: string,
  attributes: Attributes,
  run: () => Promise<Response>,
): Promise<Response> {
  if (!isOn) return await run();
  const from = propagation.extract(context.active(), request.headers, {
    keys: (headers) => [...headers.keys()],
    get: (headers, key) => headers.get(key) ?? undefined,
  });
  const facts = { kind: SpanKind.SERVER, attributes };
  return await inSpan(name, facts, [], from, async (running) => {
    const response = await run();
    running.note("http.response.status_code", response.status);
    if (response.status >= 500) running.fail();
    return response;
  });
}

/** Runs something in a span of its own. */
export async function traced<T>(
  name: string,
  facts: SpanFacts,
  run: (running: Running) => Promise<T>,
): Promise<T> {
  if (!isOn) return await run(NOT_RUNNING);
  // One that is sampled first: what it waits for is to be seen in its trace.
  const links = (facts.writes ?? []).flatMap((record) => linkTo(record))
    .sort((a, b) => (b.context.traceFlags & SAMPLED) - (a.context.traceFlags & SAMPLED));
  const [first] = links;
  const parent = first
    ? trace.setSpanContext(context.active(), first.context)
    : facts.writes
    ? trace.deleteSpan(context.active())
    : context.active();
  return await inSpan(name, facts, links.slice(1), parent, run);
}

function linkTo(record: object | undefined): Link[] {
  const written = record && writers.get(record);
  return written ? [{ context: written }] : [];
}

async function inSpan<T>(
  name: string,
  { kind = SpanKind.INTERNAL, attributes = {} }: SpanFacts,
  links: Link[],
  parent: Context,
  run: (running: Running & { fail(): void }) => Promise<T>,
): Promise<T> {
  return await tracer().startActiveSpan(name, { kind, attributes, links }, parent, async (span) => {
    try {
      return await run(runningIn(span));
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      const code = (error as { code?: unknown } | null)?.code;
      span.setAttribute("error.type", typeof code === "string" ? code : "bug");
      throw error;
    } finally {
      span.end();
    }
  });
}

function runningIn(span: Span): Running & { fail(): void } {
  return {
    note: (name, value) => void span.setAttribute(name, value),
    follow: (record) => {
      for (const link of linkTo(record)) span.addLink(link);
    },
    fail: () => void span.setStatus({ code: SpanStatusCode.ERROR }),
  };
}
