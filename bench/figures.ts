/** What a row of the bench came to, and how it is printed. */

/** One measured thing beside what it is held against. */
export interface Figure {
  readonly what: string;
  readonly unit: "req/s" | "ms" | "µs" | "%" | "KiB" | "MiB";
  readonly product: number;
  /** The same thing done by the reference, in the same run. */
  readonly reference?: number;
  /** What the reference is. */
  readonly against?: string;
  /** In words. */
  readonly target: string;
  readonly holds: boolean;
}

/** A figure whose rate is held to a share of the reference's. */
export function atLeast(
  what: string,
  rates: { readonly product: number; readonly reference: number; readonly against: string },
  share: number,
): Figure {
  const holds = rates.product >= share * rates.reference;
  return { what, unit: "req/s", ...rates, target: `≥ ${share} ×`, holds };
}

/** A figure whose cost is held to a multiple of the reference's. */
export function atMostTimes(
  what: string,
  unit: Figure["unit"],
  costs: { readonly product: number; readonly reference: number; readonly against: string },
  times: number,
): Figure {
  const holds = costs.product <= times * costs.reference;
  return { what, unit, ...costs, target: `≤ ${times} ×`, holds };
}

/** A figure that is held to a number. */
export function atMost(
  what: string,
  unit: Figure["unit"],
  product: number,
  limit: number,
  beside?: { readonly reference: number; readonly against: string },
): Figure {
  return { what, unit, product, ...beside, target: `≤ ${limit} ${unit}`, holds: product <= limit };
}

/** A figure that is held to nothing: it says what another one is made of. */
export function noted(
  what: string,
  unit: Figure["unit"],
  product: number,
  beside?: { readonly reference: number; readonly against: string },
): Figure {
  return { what, unit, product, ...beside, target: "–", holds: true };
}

/** Product over reference; undefined where there is none. */
export function ratioOf({ product, reference }: Figure): number | undefined {
  return reference === undefined || reference === 0 ? undefined : product / reference;
}

function number(value: number | undefined): string {
  if (value === undefined) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** A figure as a line of the table. */
export function line(figure: Figure): string {
  const { what, unit, product, reference, against, target, holds } = figure;
  return [
    what.padEnd(44),
    `${number(product)} ${unit}`.padStart(14),
    (reference === undefined ? "–" : `${number(reference)} ${unit}`).padStart(14),
    number(ratioOf(figure)).padStart(8),
    target.padStart(12),
    target === "–" ? "      " : holds ? "holds " : "MISSED",
    against ?? "",
  ].join("  ");
}

/** The head of the table. */
export const HEAD = [
  "row".padEnd(44),
  "product".padStart(14),
  "reference".padStart(14),
  "ratio".padStart(8),
  "target".padStart(12),
  "      ",
  "reference is",
].join("  ");
