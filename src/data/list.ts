/** Rows by number, wherever they are kept. Plain arrays are such lists. */
export interface RowList<T> {
  readonly length: number;
  at(index: number): T | undefined;
  [Symbol.iterator](): Iterator<T>;
}

/** The rows of another list by their numbers there: an order, a choice, or a mixture. */
export const selected = <T>(order: ArrayLike<number>, at: (index: number) => T): RowList<T> => ({
  length: order.length,
  at: (i) => (i < order.length ? at(order[i < 0 ? order.length + i : i] as number) : undefined),
  *[Symbol.iterator]() {
    for (let i = 0; i < order.length; i++) yield at(order[i] as number);
  },
});

/** Every row as something else, made whenever it is asked for. */
export const mapped = <T, U>(list: RowList<T>, of: (row: T, index: number) => U): RowList<U> => ({
  length: list.length,
  at(i) {
    const row = list.at(i);
    return row === undefined ? undefined : of(row, i < 0 ? list.length + i : i);
  },
  *[Symbol.iterator]() {
    let i = 0;
    for (const row of list) yield of(row, i++);
  },
});

/** The first rows as an array. */
export const take = <T>(list: RowList<T>, count: number): T[] =>
  Array.from({ length: Math.min(count, list.length) }, (_, i) => list.at(i) as T);
