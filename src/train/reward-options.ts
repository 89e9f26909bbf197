/** The options of a reward model's training: names of TRL's RewardConfig in camelCase. */
import type { DataInput } from "../data/input.ts";
import type { PreferenceOptions } from "../data/preferences.ts";
import type { Model } from "../models/load.ts";
import type { PairLossOptions } from "../reward/bradley-terry.ts";
import type { CombineOptions } from "../reward/ensemble/combine.ts";
import { combineDefaults } from "../reward/ensemble/combine.ts";
import type { Pooling } from "../reward/pooling.ts";
import { type TrainerOptions, trainerDefaults } from "./loop/trainer-options.ts";

export interface RewardOptions
  extends TrainerOptions,
    PairLossOptions,
    CombineOptions,
    Partial<Omit<PreferenceOptions, "chatTemplate" | "eosId">> {
  /** A language model or an encoder, which gets a score head, or a reward model. */
  readonly model: Model;
  /** Pairs, rankings or ratings: files, hub ids, or rows. */
  readonly data: DataInput;
  readonly evalData?: DataInput;
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string;
  /** Which hidden state is scored. Default: the last token of a decoder, [CLS] of an encoder; or the reward model's own. */
  readonly pooling?: Pooling;
  /** Draw a new score head also for a model that has one. */
  readonly newHead?: boolean;
  /**
   * Scores of one model: heads drawn apart on one backbone, an ensemble whose scores are combined as `combine` says.
   * Default 1. An ensemble of models of their own is trained by `rewardEnsemble`.
   */
  readonly heads?: number;
  /** Save mean and std with the model, so that its scores have mean 0 and std 1 on some responses. Default true. */
  readonly normalizeRewards?: boolean;
  /**
   * Those responses, as rows of `prompt, completion`: what the reference policy wrote. Default: those of the held-out
   * pairs, or of the training pairs.
   */
  readonly normalizeData?: DataInput;
}

/** Defaults, as the help texts print them. */
export const rewardDefaults = {
  ...trainerDefaults,
  learningRate: 1e-4,
  numEpochs: 1,
  maxLength: 1024,
  centerRewardsCoefficient: 0,
  ties: "drop",
  tieShare: 1 / 3,
  normalizeRewards: true,
  heads: 1,
  ...combineDefaults,
} as const satisfies Partial<RewardOptions>;
