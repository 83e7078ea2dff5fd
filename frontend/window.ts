/** Which rows of a long list are on the screen: rows of one height, a few more on either side. */

/** A stretch of rows, and the space that stands for the others. */
export interface Stretch {
  readonly first: number;
  readonly last: number;
  readonly before: number;
  readonly after: number;
}

/** Rows `first` to `last` (excluded) for a scroll position; heights in px. Pure. */
export function stretchOf(
  total: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
  extra = 8,
): Stretch {
  const from = Math.max(0, Math.min(total, Math.floor(scrollTop / rowHeight) - extra));
  const to = Math.min(total, Math.ceil((scrollTop + height) / rowHeight) + extra);
  const last = Math.max(from, to);
  return { first: from, last, before: from * rowHeight, after: (total - last) * rowHeight };
}

/** Where to scroll so that a row is wholly on the screen below a header; undefined when it is. Pure. */
export function scrollFor(
  index: number,
  rowHeight: number,
  scrollTop: number,
  height: number,
  head: number,
): number | undefined {
  const top = index * rowHeight, bottom = top + rowHeight;
  if (top < scrollTop) return top;
  if (bottom > scrollTop + height - head) return bottom - height + head;
  return undefined;
}
