/**
 * Which rows make which step: batches by length, shuffled, as a function of seed and epoch alone, so that a resumed
 * run sees the rows that it would have seen.
 */
import { permutation } from "../graph/random.ts";

/** Batches that are sorted by length together: more brings less padding, fewer more chance. */
const bucketBatches = 32;

/**
 * The batches of an epoch as lists of row numbers; every row comes once, the last batch may be smaller.
 * Rows are shuffled, sorted by length within buckets of 32 batches, cut, and the batches shuffled.
 */
export function epochBatches(
  lengths: ArrayLike<number>,
  batchSize: number,
  seed: number,
  epoch: number,
  { groupByLength = true } = {},
): number[][] {
  const order = [...permutation(lengths.length, seed, 2 * epoch)];
  const batches: number[][] = [];
  const bucket = groupByLength ? bucketBatches * batchSize : batchSize;
  for (let at = 0; at < order.length; at += bucket) {
    const rows = order.slice(at, at + bucket);
    if (groupByLength) rows.sort((a, b) => (lengths[b] as number) - (lengths[a] as number));
    for (let i = 0; i < rows.length; i += batchSize) batches.push(rows.slice(i, i + batchSize));
  }
  return [...permutation(batches.length, seed, 2 * epoch + 1)].map((i) => batches[i] as number[]);
}
