/**
 * Dropout of heads: in training each head reads the pooled hidden state with some of its features left out, drawn anew
 * for every head, response and step (Srivastava et al. 2014); what is left is scaled up by 1 / (1 - p).
 *
 * Heads that share a backbone grow apart by it. The draws are a function of seed, step and row, so that a run that is
 * resumed draws the same.
 */
import { hostArray, type TensorSpec } from "../../graph/index.ts";
import { randomBits } from "../../graph/random.ts";
import type { Rows } from "../loop/plan.ts";

export interface HeadDropout {
  /** Share of the features that are left out, from 0 to below 1. */
  readonly share: number;
  readonly heads: number;
  readonly width: number;
  readonly seed: number;
}

/** [K, slots B, C] */
export const dropoutSpec = ({ heads, width }: HeadDropout, slots: number | string): TensorSpec => ({
  dtype: "float32",
  shape: [heads, `${slots}*B`, width],
});

/** Rows whose batches bring `keep`, what each head reads: 0, or 1 / (1 - p). */
export const withDropout = <Row>(
  rows: Rows<Row>,
  { share, heads, width, seed }: HeadDropout,
  slotsOf: (rows: readonly Row[]) => number,
): Rows<Row> => ({
  ...rows,
  async collate(chosen, indices, step = 0) {
    const arrays = await rows.collate(chosen, indices, step);
    const slots = slotsOf(chosen);
    const count = chosen.length;
    const kept = 1 / (1 - share);
    const bound = share * 2 ** 32;
    const data = new Float32Array(heads * slots * count * width);
    let at = 0;
    for (let head = 0; head < heads; head++)
      for (let slot = 0; slot < slots; slot++)
        for (let row = 0; row < count; row++) {
          // One key a response; the features of it are a cheap sequence (xorshift) from there.
          let bits = randomBits(seed, step, indices[row] as number, slot, head) | 1;
          for (let feature = 0; feature < width; feature++) {
            bits ^= bits << 13;
            bits ^= bits >>> 17;
            bits ^= bits << 5;
            data[at++] = bits >>> 0 < bound ? 0 : kept;
          }
        }
    return { ...arrays, keep: hostArray("float32", [heads, slots * count, width], data) };
  },
});
