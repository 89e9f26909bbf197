/**
 * Several objectives as one score: the weighted mean of their normalised scores, with weights that are fixed, or that
 * each prompt brings along.
 *
 *     r = sum_k w_k r_k        sum_k w_k = 1
 *
 * These are preference weights, what a person cares about: they are made to sum to 1, which is said when they do not.
 * (The weights of a sum of rewards are taken as they are, see sum.ts.)
 */
import type { ModelConfig } from "../models/config/config.ts";
import { RewardError, type RewardInput, type RewardParts } from "./reward.ts";

/** By objective; or "row": the column `weights` of each prompt's row, by objective. */
export type ObjectiveWeights = Readonly<Record<string, number>> | "row";

/** The weights that a model's configuration names. */
export const objectivesOf = ({ raw }: Pick<ModelConfig, "raw">): ObjectiveWeights =>
  (raw.objectives as { weights?: ObjectiveWeights }).weights ?? { overall: 1 };

/**
 * Weights in the order of the objectives, summing to 1.
 *
 * @throws RewardError for an objective that there is not, a weight below 0, and weights that are all 0
 */
export function normalisedWeights(
  names: readonly string[],
  weights: Readonly<Record<string, unknown>>,
  what: string,
  onWarning: (text: string) => void = () => {},
): number[] {
  for (const [name, weight] of Object.entries(weights)) {
    if (!names.includes(name))
      throw new RewardError(`${what}: there is no objective ${name}; there are ${names.join(", ")}`, {
        wrongUsage: true,
      });
    if (typeof weight !== "number" || !(weight >= 0 && Number.isFinite(weight)))
      throw new RewardError(
        `${what}: a weight of at least 0 is required for ${name}, got ${String(weight)}`,
        {
          wrongUsage: true,
        },
      );
  }
  const list = names.map((name) => Number(weights[name] ?? 0));
  const total = list.reduce((a, b) => a + b, 0);
  if (total === 0)
    throw new RewardError(`${what}: a weight above 0 is required, all are 0`, { wrongUsage: true });
  if (Math.abs(total - 1) > 1e-6)
    onWarning(
      `${what}: preference weights sum to ${Number(total.toPrecision(6))}, not 1; they are divided by that`,
    );
  return list.map((weight) => weight / total);
}

/** The objectives' scores as one, by fixed weights or by those of each row. */
export function weighing(
  names: readonly string[],
  weights: ObjectiveWeights,
  { name, onWarning }: { readonly name: string; readonly onWarning?: ((text: string) => void) | undefined },
): (heads: readonly (readonly number[])[], batch: readonly RewardInput[]) => Pick<RewardParts, "scores"> {
  let said = false;
  const once = (text: string) => {
    if (!said) onWarning?.(text);
    said = true;
  };
  const weighted = (heads: readonly (readonly number[])[], i: number, of: readonly number[]) =>
    heads.reduce((sum, scores, k) => sum + (of[k] as number) * (scores[i] as number), 0);
  if (weights !== "row") {
    const fixed = normalisedWeights(names, weights, `reward ${name}`, onWarning);
    return (heads) => ({ scores: (heads[0] ?? []).map((_, i) => weighted(heads, i, fixed)) });
  }
  return (heads, batch) => ({
    scores: batch.map(({ row }, i) => {
      const own = row?.weights;
      if (typeof own !== "object" || own === null)
        throw new RewardError(
          `reward ${name}: each row needs the column weights, an object of numbers by objective; row ${i + 1} has none`,
        );
      return weighted(
        heads,
        i,
        normalisedWeights(names, own as Record<string, unknown>, `reward ${name}`, once),
      );
    }),
  });
}
