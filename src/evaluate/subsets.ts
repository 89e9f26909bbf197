/** Accuracy of a reward model by subset: kinds of prompts, sources of pairs, objectives. */
import { AttuneError } from "../graph/errors.ts";
import { type BootstrapOptions, bootstrap, mean } from "./bootstrap.ts";

export interface SubsetAccuracy {
  readonly accuracy: number;
  readonly low: number;
  readonly high: number;
  readonly pairs: number;
}

export interface AccuracyBySubset {
  /** Over all pairs. */
  readonly overall: SubsetAccuracy;
  readonly subsets: Readonly<Record<string, SubsetAccuracy>>;
  /** The mean of the subsets, each counting once however many pairs it has (as RewardBench's score, Lambert et al. 2024). */
  readonly mean: number;
}

/**
 * Share of the pairs whose preferred response has the higher score, by subset and over all, with bootstrap intervals;
 * equal scores count half.
 *
 * @param margins r_chosen - r_rejected
 * @param subsets the subset of each pair; the same pairs may be given once for each objective
 * @throws AttuneError when the lists are of different lengths
 */
export function accuracyBySubset(
  margins: ArrayLike<number>,
  subsets: readonly string[],
  options: BootstrapOptions = {},
): AccuracyBySubset {
  if (margins.length !== subsets.length)
    throw new AttuneError(
      `accuracyBySubset: a subset for each of ${margins.length} pairs is required, got ${subsets.length}`,
    );
  const right = Array.from(margins, (margin) => 0.5 + 0.5 * Math.sign(margin));
  const accuracy = (values: readonly number[]): SubsetAccuracy => {
    const { mean: accuracy, low, high } = bootstrap(values, mean, options);
    return { accuracy, low, high, pairs: values.length };
  };
  const names = [...new Set(subsets)].sort();
  const found = names.map((name) => [name, accuracy(right.filter((_, i) => subsets[i] === name))] as const);
  return {
    overall: accuracy(right),
    subsets: Object.fromEntries(found),
    mean: mean(found.map(([, row]) => row.accuracy)),
  };
}
