/**
 * Stands in for `node:crypto` while the service is simulated: everything is the original, but what
 * draws at random draws from the seed. `product.ts` puts it in place.
 */
import { Buffer } from "node:buffer";
import { Random } from "./random.ts";

export * from "node:crypto";
export { default } from "node:crypto";

/** Draws of this many bytes are for stock that outlives a run; no run may depend on what is left. */
const STOCK_BYTES_MIN = 1_000;

let random = new Random(0);
const stock = new Random(1);

/** From now on draws come from this seed. */
export function seedChance(seed: number): void {
  random = new Random(seed);
}

/** As in `node:crypto`, from the seed. */
export function randomBytes(count: number): Buffer {
  return Buffer.from((count < STOCK_BYTES_MIN ? random : stock).bytes(count));
}

/** As in `node:crypto`, from the seed. */
export function randomInt(min: number, max?: number): number {
  return max === undefined ? random.int(0, min - 1) : random.int(min, max - 1);
}

/** As in `node:crypto`, from the seed. */
export function randomUUID(): `${string}-${string}-${string}-${string}-${string}` {
  const hex = randomBytes(16).toString("hex");
  const [a, b, c, d] = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(13, 16), hex.slice(17, 20)];
  return `${a}-${b}-4${c}-8${d}-${hex.slice(20)}`;
}
