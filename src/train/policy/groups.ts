/**
 * Advantages of methods without a critic: what a response's score is compared with, one number a response.
 *
 *     baseline      A_i = r_i - b, b a running mean of earlier scores                      REINFORCE, Williams 1992
 *     leave one out A_i = r_i - mean of the other scores of its group                      RLOO, Ahmadian et al. 2024, eq. 5
 *     group         A_i = (r_i - mean of its group) / (deviation of its group + 1e-4)      GRPO, Shao et al. 2024, sec. 4.1
 *
 * Deviations are unbiased, as PyTorch's. A group of equal scores says nothing: all its advantages are 0. Scores that
 * differ by rounding alone are equal, or a division by their deviation, or Adam's, would make a signal of it.
 */
import { TrainError } from "../errors.ts";

/** What a deviation is taken over; "none" leaves differences as they are (Dr. GRPO, Liu et al. 2025). */
export type ScaleRewards = "group" | "batch" | "none";

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Unbiased; 0 of a single value. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const m = mean(values);
  return Math.sqrt(values.reduce((s, x) => s + (x - m) ** 2, 0) / (values.length - 1));
}

/** Scores by group, those of one prompt together. */
export const groupsOf = (scores: readonly number[], samples: number): number[][] =>
  Array.from({ length: scores.length / samples }, (_, g) => scores.slice(g * samples, (g + 1) * samples));

/** What single precision leaves of equal scores, as a share of the largest. */
const rounding = 1e-6;

/** Whether numbers are as far apart as rounding alone puts them. */
function areEqual(values: readonly number[]): boolean {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high - low <= rounding * Math.max(1, -low, high);
}

/** Added to deviations, as TRL does. */
const epsilon = 1e-4;

/** A of every response, by its group. */
export function groupAdvantages(
  scores: readonly number[],
  samples: number,
  scale: ScaleRewards = "group",
): number[] {
  const whole = deviation(scores);
  return groupsOf(scores, samples).flatMap((group) => {
    if (areEqual(group)) return group.map(() => 0);
    const [centre, own] = [mean(group), deviation(group)];
    const by = scale === "none" ? 1 : (scale === "group" ? own : whole) + epsilon;
    return group.map((score) => (score - centre) / by);
  });
}

/** A of every response against the others of its group; `normalise`: over the batch, to mean 0 and deviation 1. */
export function leaveOneOut(
  scores: readonly number[],
  samples: number,
  { normalise = false } = {},
): number[] {
  const advantages = groupsOf(scores, samples).flatMap((group) => {
    if (areEqual(group)) return group.map(() => 0);
    const sum = group.reduce((a, b) => a + b, 0);
    return group.map((score) => score - (sum - score) / (samples - 1));
  });
  if (!normalise) return advantages;
  const [centre, by] = [mean(advantages), deviation(advantages) + epsilon];
  return advantages.map((x) => (x - centre) / by);
}

/** Which responses are in a group of equal scores. */
export const equalGroups = (scores: readonly number[], samples: number): boolean[] =>
  groupsOf(scores, samples).flatMap((group) => group.map(() => areEqual(group)));

/** Figures of groups for the metrics. */
export function groupFigures(scores: readonly number[], samples: number): Record<string, number> {
  const groups = groupsOf(scores, samples);
  return {
    reward_std: samples > 1 ? mean(groups.map(deviation)) : deviation(scores),
    frac_reward_zero_std: samples > 1 ? groups.filter(areEqual).length / groups.length : 0,
  };
}

/** One number a response as one a token. */
export const perTokenRows = (
  values: readonly number[],
  responses: readonly { readonly ids: ArrayLike<number> }[],
): Float64Array[] => responses.map(({ ids }, i) => new Float64Array(ids.length).fill(values[i] as number));

/** @throws TrainError unless groups have two responses or more, and fill an iteration and its minibatches */
export function checkGroups(method: string, samples: number, rows: number): void {
  if (!Number.isInteger(samples) || samples < 2)
    throw new TrainError(
      `num_generations: ${method} compares responses to one prompt, so at least 2 are required, got ${samples}`,
    );
  if (rows % samples !== 0)
    throw new TrainError(
      `num_generations: a divisor of the ${rows} responses of an iteration (batch_size * gradient_accumulation) is ` +
        `required, got ${samples}`,
    );
}
