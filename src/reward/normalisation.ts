/**
 * Rewards with mean 0 and standard deviation 1 on given responses, those of the reference policy by habit
 * (Stiennon et al. 2020):
 *
 *     r = (raw - mean) / std
 *
 * Both figures are in config.json, as OpenRLHF keeps them (`mean`, `std`); the weights stay as they were trained. A
 * model with several scores has a list of each.
 */
import type { ModelConfig } from "../models/config/config.ts";
import { type Model, modelOf } from "../models/load.ts";
import { RewardError } from "./reward.ts";

export interface Normalisation {
  readonly mean: number;
  /** Above 0. */
  readonly std: number;
}

/** What a reward model's score is normalised with; mean 0 and std 1 where nothing is said. */
export const normalisationOf = (config: Pick<ModelConfig, "raw">): Normalisation =>
  normalisationsOf({ ...config, numLabels: 1 })[0] as Normalisation;

/**
 * The same of every score of a model.
 *
 * @throws RewardError when the figures are no numbers, or not one for each score
 */
export function normalisationsOf({
  raw,
  numLabels = 1,
}: Pick<ModelConfig, "raw" | "numLabels">): Normalisation[] {
  const [means, stds] = [[raw.mean ?? 0].flat(), [raw.std ?? 1].flat()].map((list) =>
    list.length === 1 ? Array.from({ length: numLabels }, () => Number(list[0])) : list.map(Number),
  ) as [number[], number[]];
  const isFine = [means, stds].every((list) => list.length === numLabels && list.every(Number.isFinite));
  if (!isFine || stds.some((std) => std <= 0))
    throw new RewardError(
      `config.json: mean and std of a reward model must be numbers, one for each score, std above 0, got ${raw.mean} and ${raw.std}`,
    );
  return means.map((mean, i) => ({ mean, std: stds[i] as number }));
}

/** The model with other figures in its configuration: of its one score, or of each. */
export function withNormalisation(model: Model, figures: Normalisation | readonly Normalisation[]): Model {
  const list = [figures].flat();
  const entry = (of: (each: Normalisation) => number) =>
    list.length === 1 ? of(list[0] as Normalisation) : list.map(of);
  const raw = { ...model.config.raw, mean: entry(({ mean }) => mean), std: entry(({ std }) => std) };
  return modelOf({ ...model, config: { ...model.config, raw } }, model.name);
}

/**
 * Mean and standard deviation of raw scores, the latter over n.
 *
 * @throws RewardError when there are not two different scores
 */
export function statisticsOf(scores: readonly number[]): Normalisation {
  const mean = scores.reduce((sum, x) => sum + x, 0) / scores.length;
  const std = Math.sqrt(scores.reduce((sum, x) => sum + (x - mean) ** 2, 0) / scores.length);
  if (!(std > 0))
    throw new RewardError(
      `normalisation: responses with different scores are required, got ${scores.length} with the same one`,
    );
  return { mean, std };
}
