/** Metrics as a graph returns them, and from micro-batches to the whole batch. */
import { flatten, type HostArray, type Tree, type Value } from "../../graph/index.ts";

/** Scalars of a tree as numbers, by path. */
export const numbersOf = (tree: Tree<Value>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(flatten(tree)).map(([name, x]) => [name, Number((x as HostArray).data[0])]),
  );

/**
 * Adds metrics of a further micro-batch to `sums`. Means are divided by the items of the whole batch already, so they
 * add up; of what is called `min_...` or `max_...` the smallest or largest stays.
 */
export function addMetrics(sums: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(more)) {
    const before = sums[name];
    const kind = name.slice(name.lastIndexOf("/") + 1).slice(0, 4);
    sums[name] = before === undefined ? value : (joins[kind] ?? add)(before, value);
  }
}

const add = (a: number, b: number): number => a + b;
const joins: Record<string, (a: number, b: number) => number> = { min_: Math.min, max_: Math.max };
