/**
 * Matrices in 8 bits: every column has a scale of its own, max |w| / 127, so that -127 to 127 span it.
 *
 * They are kept as uint8 with 128 for 0. Processors without VNNI add up pairs of products of an unsigned and a signed
 * byte in 16 bits, which overflow in silence; of two unsigned ones they do not.
 */
import type { HostArray } from "../graph/array.ts";
import { zeroPoint } from "../graph/ops/quantize.ts";

/** The name of a quantised copy of a tied output projection, beside the embedding, whose rows are looked up. */
export const tiedHead = "tied_head";

/** A matrix [K, N], or [N, K] where `columnsLast` is false, as uint8 [K, N] with a scale for each of the N. */
export function quantizeColumns(
  { data, shape }: HostArray,
  columnsLast: boolean,
): { values: HostArray<"uint8">; scale: HostArray<"float32"> } {
  const [k, n] = (columnsLast ? shape : shape.toReversed()) as [number, number];
  const [byRow, byColumn] = columnsLast ? [n, 1] : [1, k];
  const source = data as Float32Array;
  const values = new Uint8Array(k * n);
  const scale = new Float32Array(n);
  for (let j = 0; j < n; j++)
    for (let i = 0; i < k; i++)
      scale[j] = Math.max(scale[j] as number, Math.abs(source[i * byRow + j * byColumn] as number));
  for (let j = 0; j < n; j++) {
    const step = ((scale[j] as number) || 1) / 127;
    scale[j] = step;
    for (let i = 0; i < k; i++)
      values[i * n + j] = zeroPoint + Math.round((source[i * byRow + j * byColumn] as number) / step);
  }
  return {
    values: { dtype: "uint8", shape: [k, n], data: values },
    scale: { dtype: "float32", shape: [n], data: scale },
  };
}
