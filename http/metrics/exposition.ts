/** Meters as text, in the exposition format of Prometheus (0.0.4). */
import { Counter, Family, Histogram } from "../../meters.ts";

/** A reading that is taken when somebody asks; undefined where it cannot be had. */
export type Reading = () => number | undefined;

/** Readings by label values, in the order of the labels. */
export type Readings = () => Iterable<readonly [values: readonly string[], value: number]>;

/** The media type of what is rendered. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics by name, rendered in the order in which they were added. */
export class Exposition {
  readonly #families: { readonly name: string; readonly render: () => string }[] = [];

  /** A number that only grows; its name ends in `_total`. */
  counter(name: string, help: string, source: Counter | Family<Counter> | Reading): void {
    this.add(name, help, "counter", () => linesOf(name, source));
  }

  /** The sums of several families of one label. */
  counters(name: string, help: string, sources: readonly Family<Counter>[]): void {
    this.add(name, help, "counter", () => {
      const sums = new Map<string, number>();
      for (const { values: [value = ""], meter } of sources.flatMap((s) => [...s.members()])) {
        sums.set(value, (sums.get(value) ?? 0) + meter.value);
      }
      const labels = sources[0]?.labels ?? [];
      return [...sums].map(([value, sum]) => line(name, labels, [value], sum));
    });
  }

  /** A number that goes up and down. */
  gauge(name: string, help: string, read: Reading): void {
    this.add(name, help, "gauge", () => linesOf(name, read));
  }

  /** Numbers by label that go up and down. */
  gauges(name: string, help: string, labels: readonly string[], read: Readings): void {
    this.add(
      name,
      help,
      "gauge",
      () => [...read()].map(([values, value]) => line(name, labels, values, value)),
    );
  }

  /** How values are spread. */
  histogram(name: string, help: string, source: Histogram | Family<Histogram>): void {
    this.add(name, help, "histogram", () => {
      if (source instanceof Histogram) return histogramLines(name, [], [], source);
      return [...source.members()].flatMap(({ values, meter }) =>
        histogramLines(name, source.labels, values, meter)
      );
    });
  }

  /** The names, in order. */
  get names(): readonly string[] {
    return this.#families.map(({ name }) => name);
  }

  /** Everything as text. */
  render(): string {
    return this.#families.map(({ render }) => render()).join("");
  }

  private add(name: string, help: string, type: string, lines: () => readonly string[]): void {
    const head = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    this.#families.push({
      name,
      render: () => {
        const found = lines();
        return found.length === 0 ? "" : `${head}${found.join("\n")}\n`;
      },
    });
  }
}

function linesOf(name: string, source: Counter | Family<Counter> | Reading): string[] {
  if (source instanceof Counter) return [line(name, [], [], source.value)];
  if (source instanceof Family) {
    return [...source.members()].map(({ values, meter }) =>
      line(name, source.labels, values, meter.value)
    );
  }
  const value = source();
  return value === undefined ? [] : [line(name, [], [], value)];
}

function histogramLines(
  name: string,
  labels: readonly string[],
  values: readonly string[],
  { bounds, counts, sum }: Histogram,
): string[] {
  const lines: string[] = [];
  let below = 0;
  counts.forEach((n, i) => {
    below += n;
    const bound = i < bounds.length ? String(bounds[i]) : "+Inf";
    lines.push(line(`${name}_bucket`, [...labels, "le"], [...values, bound], below));
  });
  lines.push(line(`${name}_sum`, labels, values, sum));
  lines.push(line(`${name}_count`, labels, values, below));
  return lines;
}

function line(
  name: string,
  labels: readonly string[],
  values: readonly string[],
  value: number,
): string {
  if (labels.length === 0) return `${name} ${numberText(value)}`;
  const pairs = labels.map((label, i) => `${label}="${escaped(values[i] ?? "")}"`);
  return `${name}{${pairs.join(",")}} ${numberText(value)}`;
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
