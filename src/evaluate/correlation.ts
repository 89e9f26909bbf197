/** Correlation of two lists of numbers: of their values (Pearson) and of their ranks (Spearman). */
import { AttuneError } from "../graph/errors.ts";
import { mean } from "./bootstrap.ts";

/**
 * Pearson's r: the covariance over the product of the standard deviations; NaN when one of them is 0.
 *
 * @throws AttuneError when the lists are of different lengths
 */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length)
    throw new AttuneError(
      `correlation: two lists of one length are required, got ${x.length} and ${y.length}`,
    );
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const dx = (x[i] as number) - mx;
    const dy = (y[i] as number) - my;
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? Number.NaN : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** Spearman's rho: Pearson's r of the ranks, equal values sharing the mean of theirs. */
export const spearman = (x: ArrayLike<number>, y: ArrayLike<number>): number => pearson(ranks(x), ranks(y));

/** Ranks from 1; equal values share the mean of the ranks that they take up. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const out = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    const value = values[order[from] as number];
    let to = from;
    while (to + 1 < order.length && values[order[to + 1] as number] === value) to++;
    for (let i = from; i <= to; i++) out[order[i] as number] = (from + to) / 2 + 1;
    from = to + 1;
  }
  return out;
}

/**
 * Kendall's tau-b: pairs in the same order less pairs in the other, over the root of the pairs that each list tells
 * apart; NaN when one of them tells none. Time grows with the square of the length.
 *
 * @throws AttuneError when the lists are of different lengths
 */
export function kendall(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length)
    throw new AttuneError(
      `correlation: two lists of one length are required, got ${x.length} and ${y.length}`,
    );
  let [difference, ofX, ofY] = [0, 0, 0];
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < i; j++) {
      const dx = Math.sign((x[i] as number) - (x[j] as number));
      const dy = Math.sign((y[i] as number) - (y[j] as number));
      difference += dx * dy;
      ofX += dx * dx;
      ofY += dy * dy;
    }
  return difference / Math.sqrt(ofX * ofY);
}
