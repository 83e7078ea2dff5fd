/** Spans by OpenTelemetry's interface, whoever stands behind it. */
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
import type { Running, SpanAttributes, SpanFacts, Spans, TraceHeaders } from "../tracing.ts";

const SAMPLED: number = TraceFlags.SAMPLED;

interface Begun {
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly links: Link[];
  readonly parent: Context;
}

/** Spans that go to OpenTelemetry. */
export class OtelSpans implements Spans {
  /** The span in which a record was written, as long as the record is in memory. */
  readonly #writers = new WeakMap<object, SpanContext>();

  traceId(): string | undefined {
    return trace.getActiveSpan()?.spanContext().traceId;
  }

  noteWrite(record: object): void {
    const span = trace.getActiveSpan();
    if (span) this.#writers.set(record, span.spanContext());
  }

  async request(
    request: Request,
    name: string,
    attributes: SpanAttributes,
    run: () => Promise<Response>,
  ): Promise<Response> {
    const parent = propagation.extract(context.active(), request.headers, {
      keys: (headers) => [...headers.keys()],
      get: (headers, key) => headers.get(key) ?? undefined,
    });
    const begun = { kind: SpanKind.SERVER, attributes: { ...attributes }, links: [], parent };
    return await this.inside(name, begun, async (span) => {
      const response = await run();
      span.setAttribute("http.response.status_code", response.status);
      if (response.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      return response;
    });
  }

  async within<T>(
    name: string,
    { attributes = {}, writes }: SpanFacts,
    run: (running: Running) => Promise<T>,
  ): Promise<T> {
    // One that is sampled first: what it waits for is to be seen in its trace.
    const links = (writes ?? []).flatMap((record) => this.linkTo(record))
      .sort((a, b) => (b.context.traceFlags & SAMPLED) - (a.context.traceFlags & SAMPLED));
    const [first, ...others] = links;
    const here = context.active();
    const parent = first
      ? trace.setSpanContext(here, first.context)
      : writes
      ? trace.deleteSpan(here)
      : here;
    const begun = {
      kind: SpanKind.INTERNAL,
      attributes: { ...attributes },
      links: others,
      parent,
    };
    return await this.inside(name, begun, (span) => run(this.runningIn(span)));
  }

  async call<T>(name: string, call: (headers: TraceHeaders) => Promise<T>): Promise<T> {
    const begun = { kind: SpanKind.CLIENT, attributes: {}, links: [], parent: context.active() };
    return await this.inside(name, begun, () => {
      const headers: Record<string, string> = {};
      propagation.inject(context.active(), headers);
      return call(headers);
    });
  }

  private linkTo(record: object | undefined): Link[] {
    const written = record && this.#writers.get(record);
    return written ? [{ context: written }] : [];
  }

  private runningIn(span: Span): Running {
    return {
      note: (name, value) => void span.setAttribute(name, value),
      follow: (record) => {
        for (const link of this.linkTo(record)) span.addLink(link);
      },
    };
  }

  private async inside<T>(
    name: string,
    { parent, ...options }: Begun,
    run: (span: Span) => Promise<T>,
  ): Promise<T> {
    const tracer = trace.getTracer("sync");
    return await tracer.startActiveSpan(name, options, parent, async (span) => {
      try {
        return await run(span);
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
}
