/** A binary heap of things that are due: least instant first. */

/** Things by the instant they are due at. */
export class Heap<T extends { readonly at: number }> {
  #items: T[] = [];

  /** How many there are. */
  get size(): number {
    return this.#items.length;
  }

  /** Throws out all but those that pass. */
  keep(passes: (item: T) => boolean): void {
    // A sorted list is a heap.
    this.#items = this.#items.filter(passes).sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0);
  }

  /** The least, which stays. */
  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds one. */
  push(item: T): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (items[parent]!.at <= items[i]!.at) break;
      [items[parent], items[i]] = [items[i]!, items[parent]!];
      i = parent;
    }
  }

  /** Takes the least out. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    items[0] = last;
    for (let i = 0;;) {
      const left = 2 * i + 1, right = left + 1;
      let least = i;
      if (left < items.length && items[left]!.at < items[least]!.at) least = left;
      if (right < items.length && items[right]!.at < items[least]!.at) least = right;
      if (least === i) return top;
      [items[least], items[i]] = [items[i]!, items[least]!];
      i = least;
    }
  }
}
