/** OpenTelemetry's own SDK, loaded only where spans are wanted: samples, gathers, and sends them by OTLP. */
import { context, diag, DiagLogLevel, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { TracingConfig } from "../config.ts";
import type { Spans } from "../tracing.ts";
import { OtelSpans } from "./spans.ts";

/** Spans that wait to be sent; more are dropped. */
const QUEUE_MAX = 8_192;

function rootSampler(sampler: string, share: number): Sampler {
  if (sampler.endsWith("always_off")) return new AlwaysOffSampler();
  if (sampler.endsWith("traceidratio")) return new TraceIdRatioBasedSampler(share);
  return new AlwaysOnSampler();
}

function samplerOf({ sampler, share }: TracingConfig): Sampler {
  const root = rootSampler(sampler, share);
  return sampler.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

/** What is left when the service stops is given this long to get to the collector. */
const LAST_MS = 2_000;

/**
 * Makes the SDK the one that spans go to; `stop` sends what is left, and takes it away.
 * `onTrouble` hears of the first failure to send: a collector that is away stays so for long.
 */
export function startSdk(
  config: TracingConfig,
  onTrouble: (what: string) => void,
): { readonly spans: Spans; stop(): Promise<void> } {
  const resource = defaultResource()
    .merge(resourceFromAttributes({ "service.name": "sync" }))
    .merge(detectResources({
      detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector],
    }));
  const provider = new TracerProvider({
    resource,
    sampler: samplerOf(config),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
        maxQueueSize: QUEUE_MAX,
        scheduledDelayMillis: config.delayMs,
      }),
    ],
  });
  hearOfTrouble(onTrouble);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  const stop = async (): Promise<void> => {
    await inTime(provider.shutdown());
    trace.disable();
    propagation.disable();
    context.disable();
    diag.disable();
  };
  return { spans: new OtelSpans(), stop };
}

function hearOfTrouble(onTrouble: (what: string) => void): void {
  let isKnown = false;
  const note = (what: unknown): void => {
    if (isKnown) return;
    isKnown = true;
    onTrouble(String(what).slice(0, 500));
  };
  const ignore = (): void => undefined;
  diag.setLogger(
    { error: note, warn: note, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

/** Waits for the last spans, but not for ever; those that nobody takes are lost. */
async function inTime(sent: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, LAST_MS));
  const ended = sent.catch((error: unknown) => diag.error(String(error)));
  await Promise.race([ended, late]);
  clearTimeout(timer);
}
