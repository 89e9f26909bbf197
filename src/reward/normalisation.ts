/**
 * Rewards with mean 0 and standard deviation 1 on given responses, those of the reference policy by habit
 * (Stiennon et al. 2020):
 *
 *     r = (raw - mean) / std
 *
 * Both figures are in config.json, as OpenRLHF keeps them (`mean`, `std`); the weights stay as they were trained.
 */
import type { ModelConfig } from "../models/config/config.ts";
import { type Model, modelOf } from "../models/load.ts";
import { RewardError } from "./reward.ts";

export interface Normalisation {
  readonly mean: number;
  /** Above 0. */
  readonly std: number;
}

/** What a reward model's scores are normalised with; mean 0 and std 1 where nothing is said. */
export function normalisationOf({ raw }: Pick<ModelConfig, "raw">): Normalisation {
  const [mean, std] = [Number(raw.mean ?? 0), Number(raw.std ?? 1)];
  if (!Number.isFinite(mean) || !(std > 0 && Number.isFinite(std)))
    throw new RewardError(
      `config.json: mean and std of a reward model must be numbers, std above 0, got ${raw.mean} and ${raw.std}`,
    );
  return { mean, std };
}

/** The model with other figures in its configuration. */
export const withNormalisation = (model: Model, { mean, std }: Normalisation): Model =>
  modelOf({ ...model, config: { ...model.config, raw: { ...model.config.raw, mean, std } } }, model.name);

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
