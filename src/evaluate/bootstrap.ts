/**
 * Intervals by the percentile bootstrap (Efron 1979): the statistic of n samples drawn with replacement, and the
 * quantiles of what it was.
 *
 * Draws come from a counter-based generator over the values in ascending order, so the interval is a function of the
 * values and the seed: neither the order of the values nor the machine changes it.
 */
import { uniform } from "../graph/random.ts";

/** A statistic of the sample, and where it lies with the given confidence. */
export interface Interval {
  /** The statistic itself: the mean, unless another was asked for. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  readonly seed?: number;
  /** Samples that are drawn. Default: 1000. */
  readonly n?: number;
  /** Share of the samples that the interval holds. Default: 0.95. */
  readonly confidence?: number;
}

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum / values.length;
};

/** The sample standard deviation, with n - 1; 0 of a single value. */
export function standardDeviation(values: ArrayLike<number>): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += ((values[i] as number) - middle) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

/** The q-quantile of ascending values, between neighbours by proportion (type 7, as NumPy has it). */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const at = q * (ascending.length - 1);
  const below = ascending[Math.floor(at)] as number;
  return below + (at - Math.floor(at)) * ((ascending[Math.ceil(at)] as number) - below);
}

/**
 * A statistic of numbers with its interval; NaN throughout when there are no values.
 *
 * @param statistic the mean when left out
 */
export const bootstrap = (
  values: ArrayLike<number>,
  statistic: (values: ArrayLike<number>) => number = mean,
  options: BootstrapOptions = {},
): Interval =>
  bootstrapRows(
    Array.from(values, (value) => [value]),
    ([column]) => statistic(column as Float64Array),
    options,
  );

/**
 * A statistic of rows that are drawn together, such as a ratio of two sums. It gets the rows by column.
 *
 * @param rows of equal length
 */
export function bootstrapRows(
  rows: readonly (readonly number[])[],
  statistic: (columns: readonly Float64Array[]) => number,
  { seed = 0, n = 1000, confidence = 0.95 }: BootstrapOptions = {},
): Interval {
  if (rows.length === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
  const ordered = [...rows].sort(inOrder);
  const width = (ordered[0] as readonly number[]).length;
  const columns = Array.from({ length: width }, (_, k) =>
    Float64Array.from(ordered, (row) => row[k] as number),
  );
  const drawn = columns.map(() => new Float64Array(ordered.length));
  const found = Float64Array.from({ length: n }, (_, sample) => {
    for (let i = 0; i < ordered.length; i++) {
      const from = Math.floor(uniform(seed, sample, i) * ordered.length);
      for (let k = 0; k < width; k++)
        (drawn[k] as Float64Array)[i] = (columns[k] as Float64Array)[from] as number;
    }
    return statistic(drawn);
  }).sort();
  const tail = (1 - confidence) / 2;
  return { mean: statistic(columns), low: quantile(found, tail), high: quantile(found, 1 - tail) };
}

/** By the first number that differs. */
function inOrder(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, k) => value !== b[k]);
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
}
