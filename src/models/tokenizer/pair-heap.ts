/** A binary max-heap of symbol pairs: the highest count first, then the lowest pair key. Used by the BPE trainer. */

export interface PairEntry {
  /** Left id times 2^26 plus right id: comparing keys compares (left, right). */
  pair: number;
  count: number;
}

function before(a: PairEntry, b: PairEntry): boolean {
  return a.count !== b.count ? a.count > b.count : a.pair < b.pair;
}

/** Entries may go stale (the caller compares `count` with the current one when it pops). */
export class PairHeap {
  readonly #entries: PairEntry[] = [];

  push(pair: number, count: number): void {
    const entries = this.#entries;
    const entry = { pair, count };
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = entries[parent] as PairEntry;
      if (!before(entry, above)) break;
      entries[at] = above;
      at = parent;
    }
    entries[at] = entry;
  }

  /** Takes the first entry away, or undefined when the heap is empty. */
  pop(): PairEntry | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined || entries.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1] as PairEntry, entries[child] as PairEntry))
        child++;
      if (!before(entries[child] as PairEntry, last)) break;
      entries[at] = entries[child] as PairEntry;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}
