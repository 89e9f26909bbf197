/** The options of a reward model's training: names of TRL's RewardConfig in camelCase. */
import type { DataInput } from "../data/input.ts";
import type { PreferenceOptions } from "../data/preferences.ts";
import type { Model } from "../models/load.ts";
import type { RewardEncoder } from "../models/towers.ts";
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
  /**
   * How prompt and response are read: as one row ("joint"), or apart, by backbones of their own ("separate") or by the
   * same one ("siamese"); see reward/towers.ts. Default: joint, or the reward model's own.
   */
  readonly encoder?: RewardEncoder;
  /** Draw a new score head also for a model that has one. */
  readonly newHead?: boolean;
  /**
   * Scores of one model: heads drawn apart on one backbone, an ensemble whose scores are combined as `combine` says.
   * Default 1. An ensemble of models of their own is trained by `rewardEnsemble`.
   */
  readonly heads?: number;
  /**
   * What is learned from. "bradley_terry": pairs, also every two responses of a ranking or of a prompt's ratings.
   * "plackett_luce": whole rankings (of pairs and ratings too). "regression": ratings as they are. Held-out data is
   * always measured as pairs. Default "bradley_terry".
   */
  readonly lossType?: RewardLossType;
  /** Pairs that are made of ratings get this times the difference of the ratings as their margin. Default 0. */
  readonly ratingMargin?: number;
  /**
   * Heads with labels of their own, such as helpful, harmless and honest, beside one for the overall preference; what
   * the pairs say of each stands in their rows (reward/reward-objectives.ts).
   */
  readonly objectives?: readonly string[];
  /** Share of the features that each head does not see, drawn anew at each step. Default 0. */
  readonly headDropout?: number;
  /** Weight of the squared norm of a margin's gradient by the tokens' embeddings; a step then takes twice as long. Default 0. */
  readonly gradientPenalty?: number;
  /**
   * Weight of the chosen response's likelihood beside the loss, which keeps the hidden states those of a language model
   * (Yang et al. 2024). Default 0.
   */
  readonly sftCoefficient?: number;
  /** Save what usual responses look like with the model, so that unusual ones can be penalised (reward/unusual.ts). Default false. */
  readonly featureStatistics?: boolean;
  /** Save mean and std with the model, so that its scores have mean 0 and std 1 on some responses. Default true. */
  readonly normalizeRewards?: boolean;
  /**
   * Those responses, as rows of `prompt, completion`: what the reference policy wrote. Default: those of the held-out
   * pairs, or of the training pairs.
   */
  readonly normalizeData?: DataInput;
}

export const rewardLossTypes = ["bradley_terry", "plackett_luce", "regression"] as const;
export type RewardLossType = (typeof rewardLossTypes)[number];

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
  lossType: "bradley_terry",
  ratingMargin: 0,
  labelSmoothing: 0,
  headDropout: 0,
  gradientPenalty: 0,
  sftCoefficient: 0,
  featureStatistics: false,
  ...combineDefaults,
} as const satisfies Partial<RewardOptions>;
