/** The options of direct preference optimisation: names and defaults of TRL's DPOConfig in camelCase. */
import type { DataInput } from "../data/input.ts";
import type { PreferenceOptions } from "../data/preferences.ts";
import type { Model } from "../models/load.ts";
import { type TrainerOptions, trainerDefaults } from "./loop/trainer-options.ts";
import { type LossChoice, lossDefaults } from "./preference/loss-choice.ts";

export interface DpoOptions
  extends TrainerOptions,
    LossChoice,
    Partial<Omit<PreferenceOptions, "chatTemplate" | "eosId">> {
  /** The policy at the start. */
  readonly model: Model;
  /** What the policy is compared with; by default the policy at the start. */
  readonly refModel?: Model;
  /** Pairs, rankings or ratings: files, hub ids, or rows. */
  readonly data: DataInput;
  readonly evalData?: DataInput;
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string;
  /** Weight of the chosen responses' negative log-likelihood a token, which is added (Pang et al. 2024); none by default. */
  readonly rpoAlpha?: number;
  /** Ask the reference about all pairs before the first step, and keep its answers; else at every step. */
  readonly precomputeRefLogProbs?: boolean;
  /** Pairs of a batch of the reference; by default `batchSize`. */
  readonly precomputeRefBatchSize?: number;
}

/** Defaults, as the help texts print them. */
export const dpoDefaults = {
  ...trainerDefaults,
  learningRate: 1e-6,
  maxLength: 1024,
  ...lossDefaults,
  precomputeRefLogProbs: true,
} as const satisfies Partial<DpoOptions>;
