/**
 * How gold reward depends on the distance from the reference (Gao, Schulman and Hilton 2022, section 3):
 *
 *     d = sqrt(KL(pi || pi_ref)), nats summed over a response
 *     best-of-n   R(d) = R0 + d (alpha - beta d)            peak d* = alpha / (2 beta)
 *     RL          R(d) = R0 + d (alpha - beta log d)        peak d* = exp(alpha / beta - 1)
 *
 * Both are linear in alpha and beta, so the fit is least squares in closed form. R0, the reward of the reference, is
 * given when it was measured, and fitted along otherwise. alpha is what a little optimisation brings, beta what more
 * of it spoils; where beta is not above 0 the curve has no peak.
 */
import { uniform } from "../../graph/random.ts";
import { mean, quantile } from "../bootstrap.ts";
import { EvaluateError } from "../perplexity.ts";

export interface CurvePoint {
  /** sqrt of the KL in nats a response. */
  readonly d: number;
  readonly reward: number;
}

/** What stands behind alpha and beta, and where the curve is highest. */
interface CurveForm {
  readonly text: string;
  /** The factor of beta, with its sign. */
  readonly falls: (d: number) => number;
  readonly peak: (alpha: number, beta: number) => number;
}

export const curveForms = {
  "best-of-n": {
    text: "d (alpha - beta d)",
    falls: (d) => -d * d,
    peak: (alpha, beta) => alpha / (2 * beta),
  },
  rl: {
    text: "d (alpha - beta log d)",
    falls: (d) => (d === 0 ? 0 : -d * Math.log(d)),
    peak: (alpha, beta) => Math.exp(alpha / beta - 1),
  },
} satisfies Record<string, CurveForm>;

export type CurveName = keyof typeof curveForms;

export interface Curve {
  readonly form: CurveName;
  readonly alpha: number;
  readonly beta: number;
  /** R0, the reward of the reference. */
  readonly start: number;
  /** Share of the variance of the rewards that the curve explains; below 0 when their mean would do better. */
  readonly r2: number;
  readonly points: number;
  /** Where the curve is highest; none when it rises without end, or falls from the start. */
  readonly peak?: { readonly d: number; readonly reward: number };
}

export interface FitOptions {
  readonly form: CurveName;
  /** R0, when it is known. Default: fitted. */
  readonly start?: number;
}

/** The curve's value. */
export const curveAt = (
  { form, alpha, beta, start }: Pick<Curve, "form" | "alpha" | "beta" | "start">,
  d: number,
): number => start + alpha * d + beta * curveForms[form].falls(d);

/**
 * The least-squares curve through points.
 *
 * @throws EvaluateError when there are fewer different distances than unknowns, or a number is not finite
 */
export function fitCurve(points: readonly CurvePoint[], { form, start }: FitOptions): Curve {
  const unknowns = start === undefined ? 3 : 2;
  const bad = points.find(({ d, reward }) => !(d >= 0 && Number.isFinite(d) && Number.isFinite(reward)));
  if (bad)
    throw new EvaluateError(
      `fitCurve: distances of at least 0 and finite rewards are required, got ${bad.d} and ${bad.reward}`,
    );
  const distances = new Set(points.map(({ d }) => d).filter((d) => start === undefined || d > 0)).size;
  if (distances < unknowns)
    throw new EvaluateError(
      `fitCurve: at least ${unknowns} different distances are required, got ${distances}; measure more snapshots`,
    );
  const { falls, peak } = curveForms[form];
  const rows = points.map(({ d, reward }) => ({
    x: start === undefined ? [d, falls(d), 1] : [d, falls(d)],
    y: reward - (start ?? 0),
  }));
  const [alpha, beta, fitted = start as number] = leastSquares(rows) as [number, number, number?];
  const curve = { form, alpha, beta, start: fitted };
  const at = peak(alpha, beta);
  const hasPeak = beta > 0 && at > 0 && Number.isFinite(at);
  return {
    ...curve,
    r2: explained(points, (d) => curveAt(curve, d)),
    points: points.length,
    ...(hasPeak && { peak: { d: at, reward: curveAt(curve, at) } }),
  };
}

/** R2 = 1 - sum (y - f)^2 / sum (y - mean y)^2; NaN when all rewards are equal. */
function explained(points: readonly CurvePoint[], f: (d: number) => number): number {
  const middle = mean(points.map(({ reward }) => reward));
  let [rest, all] = [0, 0];
  for (const { d, reward } of points) {
    rest += (reward - f(d)) ** 2;
    all += (reward - middle) ** 2;
  }
  return all === 0 ? Number.NaN : 1 - rest / all;
}

/** Solves the normal equations x'x w = x'y by elimination with pivots. */
function leastSquares(rows: readonly { readonly x: readonly number[]; readonly y: number }[]): number[] {
  const n = (rows[0] as { x: readonly number[] }).x.length;
  const sum = (of: (row: { x: readonly number[]; y: number }) => number) =>
    rows.reduce((total, row) => total + of(row), 0);
  const matrix = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => sum(({ x }) => (x[i] as number) * (x[j] as number))),
    sum(({ x, y }) => (x[i] as number) * y),
  ]);
  for (let column = 0; column < n; column++) {
    const order = matrix.slice(column).map((row) => Math.abs(row[column] as number));
    const pivot = column + order.indexOf(Math.max(...order));
    [matrix[column], matrix[pivot]] = [matrix[pivot] as number[], matrix[column] as number[]];
    const head = matrix[column] as number[];
    for (const [i, row] of matrix.entries()) {
      if (i === column) continue;
      const factor = (row[column] as number) / (head[column] as number);
      for (let j = column; j <= n; j++) row[j] = (row[j] as number) - factor * (head[j] as number);
    }
  }
  return matrix.map((row, i) => (row[n] as number) / (row[i] as number));
}

/** Where a curve is highest: d*, or 0 where it falls from the start, or Infinity where it rises without end. */
export const highestAt = ({ peak, alpha }: Pick<Curve, "peak" | "alpha">): number =>
  peak?.d ?? (alpha > 0 ? Number.POSITIVE_INFINITY : 0);

interface Place {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** A curve through the points of several runs, and how sure it is. */
export interface FittedCurve {
  readonly curve: Curve;
  /** Where it is highest (`highestAt`), with the interval of the resampled curves. */
  readonly highest: Place;
  /** The same where the curve has a peak between. */
  readonly peak?: Place;
  /** Share of the resampled curves that have a peak. */
  readonly peaked: number;
  /** Where the resampled curves lie. */
  readonly band: readonly { readonly d: number; readonly low: number; readonly high: number }[];
}

export interface FitRunsOptions extends FitOptions {
  readonly seed?: number;
  /** Samples that are drawn. Default: 1000. */
  readonly n?: number;
  /** Share of the samples that an interval holds. Default: 0.95. */
  readonly confidence?: number;
  /** Intervals between the points of the band; 0 for none. Default: 48. */
  readonly bandSteps?: number;
}

/**
 * Curves through resampled points: runs are drawn with replacement, then points within each, so that what differs between
 * seeds counts, and a single run has an interval too. Draws with too few different distances are left out.
 */
export function resampledCurves(runs: readonly (readonly CurvePoint[])[], options: FitRunsOptions): Curve[] {
  const { seed = 0, n = 1000 } = options;
  const filled = runs.filter((run) => run.length > 0);
  return Array.from({ length: n }).flatMap((_, sample) => {
    let at = 0;
    const pick = <T>(list: readonly T[]): T =>
      list[Math.floor(uniform(seed, sample, at++) * list.length)] as T;
    const points = filled.flatMap(() => {
      const run = pick(filled);
      return run.map(() => pick(run));
    });
    try {
      return fitCurve(points, options);
    } catch {
      return [];
    }
  });
}

/**
 * The curve through all runs' points, with intervals by the two-stage bootstrap of `resampledCurves`.
 *
 * @throws EvaluateError as `fitCurve` does
 */
export function fitRuns(runs: readonly (readonly CurvePoint[])[], options: FitRunsOptions): FittedCurve {
  const { confidence = 0.95, bandSteps = 48 } = options;
  const all = runs.flat();
  const curve = fitCurve(all, options);
  const drawn = resampledCurves(runs, options);
  const tail = (1 - confidence) / 2;
  const ends = (values: Float64Array) => ({ low: quantile(values, tail), high: quantile(values, 1 - tail) });
  const places = Float64Array.from(drawn.length > 0 ? drawn : [curve], highestAt).sort();
  const highest = { mean: highestAt(curve), ...endsWithoutNaN(places, tail) };
  const farthest = Math.max(...all.map(({ d }) => d));
  return {
    curve,
    highest,
    ...(curve.peak && drawn.length > 0 && { peak: highest }),
    peaked: drawn.filter(({ peak }) => peak).length / Math.max(1, drawn.length),
    band: Array.from({ length: bandSteps > 0 ? bandSteps + 1 : 0 }, (_, i) => {
      const d = (farthest * i) / bandSteps;
      return { d, ...ends(Float64Array.from(drawn, (each) => curveAt(each, d)).sort()) };
    }),
  };
}

/** Quantiles between neighbours of which one may be infinite. */
function endsWithoutNaN(ascending: Float64Array, tail: number): { low: number; high: number } {
  const at = (q: number) => {
    const value = quantile(ascending, q);
    return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
  };
  return { low: at(tail), high: at(1 - tail) };
}
