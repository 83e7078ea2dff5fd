/** The vocabulary of a simulated room, and what clients wait for in it. */
import type { Condition } from "./ledger.ts";

/** A gate over a counter, as an expression and for the judge. */
export interface Gated {
  readonly id: string;
  readonly k: string;
  readonly by: number;
  readonly above: number;
  /** A counter that is not there yet counts as 0. */
  readonly isLenient: boolean;
}

/** Does its gate hold? */
export function isOpen(
  { k, above, isLenient }: Gated,
  shared: ReadonlyMap<string, unknown>,
): boolean {
  const value = shared.get(`n_${k}`) ?? (isLenient ? 0 : -Infinity);
  return Number(value) > above;
}

const OP = { op: {}, k: {} };
const held = '("l_" + params.k) in state._shared';

/** Actions that every room has, by id: what `_register_action` is given. */
export const ACTIONS: readonly Readonly<Record<string, unknown>>[] = [
  { id: "inc", params: OP, writes: [{ key: "n_${params.k}", increment: 1 }] },
  {
    id: "cas",
    params: { ...OP, v: {}, ver: {} },
    writes: [{ key: "c_${params.k}", value: "${params.v}", if_version: "${params.ver}" }],
  },
  {
    id: "take",
    params: OP,
    if: `!(${held})`,
    writes: [{ key: "l_${params.k}", value: "${self}" }],
  },
  {
    id: "drop",
    params: OP,
    if: `${held} && state._shared["l_" + params.k].value == self`,
    writes: [{ key: "l_${params.k}", delete: true }],
  },
  {
    id: "put",
    params: { ...OP, v: {}, ms: {} },
    writes: [{
      key: "t_${params.k}",
      value: "${params.v}",
      timer: { ms: "${params.ms}", effect: "delete" },
    }],
  },
  {
    id: "wind",
    params: { ...OP, v: {}, left: {} },
    writes: [{
      key: "x_${params.k}",
      value: "${params.v}",
      timer: { ticks: "${params.left}", tick_on: "_shared.n_0", effect: "delete" },
    }],
  },
  { id: "mine", params: OP, writes: [{ scope: "${self}", key: "m_${params.k}", increment: 1 }] },
];

/** The view that named gates read. */
export const VIEW = {
  id: "high",
  expr: "has(state._shared.n_0) ? state._shared.n_0.value : 0",
};

/** A gated action, its gate written out or, where it is lenient, by the view's name. */
export function gatedAction(gated: Gated): Record<string, unknown> {
  const { id, k, by, above, isLenient } = gated;
  const inline = `has(state._shared.n_${k}) && state._shared.n_${k}.value > ${above}`;
  return {
    id,
    description: JSON.stringify(gated),
    params: OP,
    if: isLenient ? `views.high.value > ${above}` : inline,
    writes: [{ key: `n_${k}`, increment: by }],
  };
}

const numberOf = (shared: ReadonlyMap<string, unknown>, key: string): number =>
  Number(shared.get(key) ?? 0);

/** A counter stands at `n` or higher: for good, since counters only rise. */
export function reaches(key: string, n: number): Condition {
  return {
    text: `has(state._shared.${key}) && state._shared.${key}.value >= ${n}`,
    holds: (shared) => numberOf(shared, key) >= n,
    isLasting: true,
  };
}

/** A counter seen through the view. */
export function viewReaches(n: number): Condition {
  return {
    text: `views.high.value >= ${n}`,
    holds: (shared) => numberOf(shared, "n_0") >= n,
    isLasting: true,
  };
}

/** A key is gone, by its timer or otherwise. */
export function isGone(key: string): Condition {
  return {
    text: `!has(state._shared.${key})`,
    holds: (shared) => !shared.has(key),
    isLasting: false,
  };
}

/** A key is there. */
export function isThere(key: string): Condition {
  return {
    text: `has(state._shared.${key})`,
    holds: (shared) => shared.has(key),
    isLasting: false,
  };
}
