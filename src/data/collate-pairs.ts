/**
 * Pairs to one padded batch: the chosen rows first, then the rejected ones, as TRL concatenates them, so that one
 * pass of the model gives both.
 */

import { type HostArray, hostArray } from "../graph/array.ts";
import { type CollateOptions, collate } from "./collate.ts";
import { type Example, exampleOf } from "./example.ts";
import type { Pair } from "./pair.ts";

/**
 * `input_ids` and `labels` [2B, T] int64: row i is the chosen response of pair i, row B + i the rejected one. Labels
 * are shifted and -100 outside the response, as in `collate`; the label of the first token of the response stands
 * under the last of the prompt. `lengths` [2B] int64: tokens of each row, so the last one is at `lengths - 1`.
 */
export type PairBatch = Record<"input_ids" | "labels" | "lengths", HostArray<"int64">>;

/** A response of a pair as a row of its own; the tokens of the response count. */
export const responseOf = (pair: Pair, side: "chosen" | "rejected"): Example =>
  exampleOf(pair.prompt, pair[side], pair.source);

export function collatePairs(
  pairs: readonly Pair[],
  options: Omit<CollateOptions, "packed"> = {},
): PairBatch {
  const rows = (["chosen", "rejected"] as const).flatMap((side) =>
    pairs.map((pair) => responseOf(pair, side)),
  );
  const { input_ids, labels } = collate(rows, options);
  const lengths = BigInt64Array.from(rows, ({ ids }) => BigInt(ids.length));
  return { input_ids, labels, lengths: hostArray("int64", [rows.length], lengths) };
}
