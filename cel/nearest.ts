/** The names closest to one that is unknown, for hints. */

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

const LENGTH_MAX = 64;
const SHOWN_MAX = 16;

/** `Did you mean x?`, or what there is when nothing is close. */
export function nearest(name: string, known: readonly string[]): string {
  const near = name.length > LENGTH_MAX
    ? []
    : known.slice(0, 200).filter((k) => k.length <= LENGTH_MAX)
      .map((k) => ({ k, d: distance(name.toLowerCase(), k.toLowerCase()) }))
      .filter(({ k, d }) => d <= Math.max(1, Math.floor(k.length / 3)))
      .sort((a, b) => a.d - b.d);
  const [best] = near;
  if (best) return `Did you mean ${best.k}?`;
  return `There is: ${known.slice(0, SHOWN_MAX).join(", ")}.`;
}
