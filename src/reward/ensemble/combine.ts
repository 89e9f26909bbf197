/**
 * How the scores of an ensemble's members become one (Coste et al. 2023, section 3.3; Eisenstein et al. 2023):
 *
 *     mean    the mean over the members
 *     wco     worst-case optimisation: the smallest score of any member
 *     uwo     uncertainty-weighted: mean - lambda * variance            (the variance, not the deviation; over n)
 *
 * Scores of members are only comparable when each is normalised on the same responses, since the loss on pairs leaves
 * the level of a model's scores open: an opened reward model gives normalised scores (normalisation.ts).
 */
import { RewardError } from "../reward.ts";

export const combinations = ["mean", "wco", "uwo"] as const;
export type Combination = (typeof combinations)[number];

export interface CombineOptions {
  /** Default "mean". */
  readonly combine?: Combination | undefined;
  /** What the variance costs under "uwo". Default 0.5. */
  readonly lambda?: number | undefined;
}

export const combineDefaults = { combine: "mean", lambda: 0.5 } as const satisfies CombineOptions;

export interface Combined {
  readonly scores: readonly number[];
  /** Variance over the members, of each response. */
  readonly disagreement: readonly number[];
}

const rules: Record<
  Combination,
  (at: { mean: number; min: number; variance: number }, lambda: number) => number
> = {
  mean: ({ mean }) => mean,
  wco: ({ min }) => min,
  uwo: ({ mean, variance }, lambda) => mean - lambda * variance,
};

/**
 * One score for each response from those of the members.
 *
 * @param members of each member the scores of all responses
 * @throws RewardError for a lambda below 0
 */
export function combined(members: readonly (readonly number[])[], options: CombineOptions = {}): Combined {
  const { combine = combineDefaults.combine, lambda = combineDefaults.lambda } = options;
  checkCombination(options);
  const [scores, disagreement]: [number[], number[]] = [[], []];
  for (let i = 0; i < (members[0]?.length ?? 0); i++) {
    const values = members.map((scores) => scores[i] as number);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    scores.push(rules[combine]({ mean, min: Math.min(...values), variance }, lambda));
    disagreement.push(variance);
  }
  return { scores, disagreement };
}

/** @throws RewardError for a combination that is none, or a lambda below 0 */
export function checkCombination({ combine, lambda }: CombineOptions): void {
  if (combine !== undefined && !combinations.includes(combine))
    throw new RewardError(`combine: one of ${combinations.join(", ")} is required, got ${combine}`, {
      wrongUsage: true,
    });
  if (lambda !== undefined && !(lambda >= 0 && Number.isFinite(lambda)))
    throw new RewardError(`lambda: a number of at least 0 is required, got ${lambda}`, { wrongUsage: true });
}
