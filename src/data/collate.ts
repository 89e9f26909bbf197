/**
 * Examples to one padded batch of arrays. Labels are shifted here: the label of a token stands under the token before
 * it, and -100 where nothing counts.
 */
import { type HostArray, hostArray } from "../graph/array.ts";
import type { Example } from "./example.ts";

export const ignoredLabel = -100;

export interface CollateOptions {
  /** The length is rounded up to a multiple of this, so that fewer shapes occur. */
  readonly multipleOf?: number;
  /** The length is never more than this, whatever the rounding says. */
  readonly maxLength?: number;
  readonly padId?: number;
  /** Adds `segment_ids` and `position_ids`, which packed rows need. */
  readonly packed?: boolean;
}

/** {input_ids, labels[, segment_ids, position_ids]}, all [B, T] int64, padded on the right. */
export type Batch = Record<"input_ids" | "labels", HostArray<"int64">> &
  Partial<Record<"segment_ids" | "position_ids", HostArray<"int64">>>;

export function collate(
  examples: readonly Example[],
  { multipleOf = 16, maxLength = Number.POSITIVE_INFINITY, padId = 0, packed = false }: CollateOptions = {},
): Batch {
  const longest = Math.max(...examples.map(({ ids }) => ids.length));
  const length = Math.max(longest, Math.min(maxLength, Math.ceil(longest / multipleOf) * multipleOf));
  const shape = [examples.length, length];
  const size = examples.length * length;
  const inputs = new BigInt64Array(size).fill(BigInt(padId));
  const labels = new BigInt64Array(size).fill(BigInt(ignoredLabel));
  const segments = packed ? new BigInt64Array(size) : undefined; // padding is segment 0
  const positions = packed ? new BigInt64Array(size) : undefined;
  for (const [row, example] of examples.entries()) {
    const start = row * length;
    for (let i = 0; i < example.ids.length; i++) {
      inputs[start + i] = BigInt(example.ids[i] as number);
      if (example.counts[i]) labels[start + i - 1] = BigInt(example.ids[i] as number);
    }
    let at = start;
    if (segments && positions)
      for (const [k, n] of example.segments.entries())
        for (let i = 0; i < n; i++, at++) {
          segments[at] = BigInt(k + 1);
          positions[at] = BigInt(i);
        }
  }
  return {
    input_ids: hostArray("int64", shape, inputs),
    labels: hostArray("int64", shape, labels),
    ...(segments && { segment_ids: hostArray("int64", shape, segments) }),
    ...(positions && { position_ids: hostArray("int64", shape, positions) }),
  };
}
