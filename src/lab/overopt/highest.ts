/**
 * Where a fitted curve is highest, within what was measured.
 *
 * Both forms are above their start up to a multiple of d*: RL to e d*, best-of-n to 2 d*. Where even the nearest measured
 * distance is beyond that, no measured model is above the start by the curve, and it falls from the start; where d* is
 * beyond the farthest, it rises to the end. The digits of such a d* come from the form and not from the data.
 */
import type { CurveName, Range } from "../../evaluate/index.ts";

export interface Highest extends Range {
  readonly course: "turns" | "falls from the start" | "rises to the end";
}

const aboveStart: Readonly<Record<CurveName, number>> = { rl: Math.E, "best-of-n": 2 };

/**
 * What d* and its interval say.
 *
 * @param place d*: 0 where the curve falls from the start, Infinity where it rises without end
 * @param distances that were measured
 * @returns low is 0 and high Infinity where that end of the interval is outside of what was measured
 */
export function highestOf(
  { mean, low, high }: Range,
  form: CurveName,
  distances: readonly number[],
): Highest {
  const nearest = Math.min(...distances.filter((d) => d > 0)) / aboveStart[form];
  const farthest = Math.max(...distances);
  return {
    course: mean <= nearest ? "falls from the start" : mean >= farthest ? "rises to the end" : "turns",
    mean,
    low: low <= nearest ? 0 : low,
    high: high >= farthest ? Number.POSITIVE_INFINITY : high,
  };
}

type Format = (value: number) => string;

/** "0.18 to 0.49", "the start to no end". */
export const placesText = ({ low, high }: Range, format: Format): string =>
  `${low === 0 ? "the start" : format(low)} to ${Number.isFinite(high) ? format(high) : "no end"}`;

/** "0.31 (0.18 to 0.49)", or the course of a curve that has no peak. */
export const peakText = (highest: Highest, format: Format): string =>
  highest.course === "turns" ? `${format(highest.mean)} (${placesText(highest, format)})` : highest.course;

/** A difference, "+0.26 (+0.05 to +0.44)"; an end that is infinite is none. */
export const changeText = ({ mean, low, high }: Range, format: Format): string => {
  const end = (value: number) => (Number.isFinite(value) ? format(value) : "no end");
  return `${format(mean)} (${end(low)} to ${end(high)})`;
};
