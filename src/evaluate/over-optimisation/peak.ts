/**
 * How far the peaks of two curves lie apart, with an interval by the bootstrap. A curve that still rises has its peak at
 * infinity, one that falls from the start at 0.
 */
import { quantile } from "../bootstrap.ts";
import { type CurvePoint, type FitRunsOptions, fitCurve, highestAt, resampledCurves } from "./curve.ts";

/** A figure, and where the resampled ones lie. */
export interface Range {
  readonly mean: number;
  readonly low: number;
  /** Infinity where that share of the draws has no peak. */
  readonly high: number;
}

/** a - b, where two that never turn are alike. */
export const less = (a: number, b: number): number => (a === b ? 0 : a - b);

/** The middle 95 % of what was drawn, also beside infinities. */
export function rangeOf(mean: number, drawn: readonly number[]): Range {
  const ascending = Float64Array.from(drawn).sort();
  const isFinite = ascending.every(Number.isFinite);
  const end = (share: number): number => {
    const near = ascending[Math.round(share * (ascending.length - 1))] as number;
    return isFinite ? quantile(ascending, share) : near;
  };
  return { mean, low: end(0.025), high: end(0.975) };
}

/**
 * d* of the curve through `runs` less that of the curve through `beside`; runs of both are drawn with replacement, then
 * points within each, as `fitRuns` draws them.
 *
 * @throws EvaluateError as `fitCurve` does
 */
export function peakShift(
  runs: readonly (readonly CurvePoint[])[],
  beside: readonly (readonly CurvePoint[])[],
  options: FitRunsOptions,
): Range {
  const { seed = 0 } = options;
  const of = (all: typeof runs) => highestAt(fitCurve(all.flat(), options));
  const drawn = (all: typeof runs, stream: number) =>
    resampledCurves(all, { ...options, seed: 2 * seed + stream }).map(highestAt);
  const [own, others] = [drawn(runs, 0), drawn(beside, 1)];
  const pairs = own.slice(0, others.length).map((peak, i) => less(peak, others[i] as number));
  return rangeOf(less(of(runs), of(beside)), pairs);
}
