/**
 * Calibration: whether what is predicted with probability p comes true in a share p of the cases.
 *
 *     ECE = sum over bins of (count / n) | observed - predicted |        (Naeini et al. 2015, Guo et al. 2017)
 */
import { AttuneError } from "../graph/errors.ts";
import { mean } from "./bootstrap.ts";

/** A point of the reliability curve. */
export interface CalibrationBin {
  /** The bin holds probabilities from low up to high; the last one its end too. */
  readonly low: number;
  readonly high: number;
  /** Mean predicted probability. */
  readonly predicted: number;
  /** Mean outcome. */
  readonly observed: number;
  readonly count: number;
}

export interface Calibration {
  /** Expected calibration error, from 0 to 1. */
  readonly ece: number;
  /** Bins that hold something. */
  readonly bins: readonly CalibrationBin[];
}

export interface CalibrationOptions {
  /** Bins of equal width. Default: 10. */
  readonly bins?: number;
  /** Where the first bin begins; 0.5 for confidences. Default: 0. */
  readonly from?: number;
}

/**
 * Calibration of predicted probabilities.
 *
 * @param outcomes 1 for what came true, 0 for what did not, 0.5 for a tie
 * @throws AttuneError when the lists differ in length, or a probability is outside of the bins
 */
export function calibration(
  probabilities: ArrayLike<number>,
  outcomes: ArrayLike<number>,
  { bins: count = 10, from = 0 }: CalibrationOptions = {},
): Calibration {
  const n = probabilities.length;
  if (outcomes.length !== n)
    throw new AttuneError(
      `calibration: an outcome for each of ${n} probabilities is required, got ${outcomes.length}`,
    );
  const width = (1 - from) / count;
  const members = Array.from({ length: count }, (): number[] => []);
  for (let i = 0; i < n; i++) {
    const p = probabilities[i] as number;
    if (!(p >= from && p <= 1))
      throw new AttuneError(`calibration: probabilities from ${from} to 1 are required, got ${p}`);
    members[Math.min(count - 1, Math.floor((p - from) / width))]?.push(i);
  }
  const bins = members.flatMap((rows, k): CalibrationBin[] =>
    rows.length === 0
      ? []
      : [
          {
            low: from + k * width,
            high: from + (k + 1) * width,
            predicted: mean(rows.map((i) => probabilities[i] as number)),
            observed: mean(rows.map((i) => outcomes[i] as number)),
            count: rows.length,
          },
        ],
  );
  const ece = bins.reduce((sum, bin) => sum + (bin.count / n) * Math.abs(bin.observed - bin.predicted), 0);
  return { ece, bins };
}

/**
 * Calibration of a Bradley-Terry model from its margins r_chosen - r_rejected: it is sure of its own choice with
 * sigmoid(|margin|), and right when the margin is above 0. Bins go from 0.5 to 1.
 */
export const marginCalibration = (
  margins: ArrayLike<number>,
  options: Omit<CalibrationOptions, "from"> = {},
): Calibration =>
  calibration(
    Array.from(margins, (margin) => 1 / (1 + Math.exp(-Math.abs(margin)))),
    Array.from(margins, (margin) => 0.5 + 0.5 * Math.sign(margin)),
    { ...options, from: 0.5 },
  );
