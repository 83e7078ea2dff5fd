/** Metrics as tests read them: a strict reader of the exposition format, and one scrape. */
import assert from "node:assert/strict";
import type { TestService } from "./harness.ts";

/** One line of the exposition. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with all its lines. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|[+-]Inf|NaN)$/;

function numberOf(text: string): number {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

function sampleOf(line: string): Sample {
  const found = SAMPLE.exec(line);
  assert.ok(found, `no line of the format: ${line}`);
  const labels: Record<string, string> = {};
  for (const [, name, value] of (found[2] ?? "").matchAll(/([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"/g)) {
    assert.ok(!(name! in labels), `a label twice: ${line}`);
    labels[name!] = value!;
  }
  return { name: found[1]!, labels, value: numberOf(found[3]!) };
}

/** Reads the exposition format to the letter; throws where it departs from it. */
export function readExposition(text: string): Map<string, MetricFamily> {
  assert.ok(text.endsWith("\n") && !text.includes("\r"));
  const families = new Map<string, MetricFamily>();
  let family: MetricFamily | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, what, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (what === "HELP") {
      assert.ok(!families.has(name!), `${name} begins twice`);
      families.set(name!, family = { name: name!, help: rest!, type: "", samples: [] });
    } else if (what === "TYPE") {
      assert.ok(family && family.name === name && family.samples.length === 0, line);
      family = Object.assign(family, { type: rest! });
    } else {
      const sample = sampleOf(line);
      assert.ok(family, line);
      const own = family.type === "histogram"
        ? ["_bucket", "_sum", "_count"].map((end) => family!.name + end)
        : [family.name];
      assert.ok(own.includes(sample.name), `${sample.name} stands below ${family.name}`);
      family.samples.push(sample);
    }
  }
  return families;
}

/** A scrape: what it showed, and how to ask it. */
export interface Scrape {
  readonly text: string;
  readonly families: Map<string, MetricFamily>;
  /** The sum of the lines of this name that carry these labels; 0 where there are none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** Scrapes a service from its own machine. */
export async function scrape(on: TestService, token?: string): Promise<Scrape> {
  const reply = await on.call("GET", "/metrics", { token, headers: { Host: "localhost:8787" } });
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.headers.get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  const families = readExposition(reply.text);
  const samples = [...families.values()].flatMap((family) => family.samples);
  return {
    text: reply.text,
    families,
    value: (name, labels = {}) =>
      samples.filter((sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
      ).reduce((sum, { value }) => sum + value, 0),
  };
}
