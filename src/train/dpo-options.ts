/** The options of direct preference optimisation: names and defaults of TRL's DPOConfig in camelCase. */
import type { Model } from "../models/load.ts";
import { type AdaptiveBetaOptions, adaptiveDefaults } from "./preference/adaptive-beta.ts";
import { type LossChoice, lossDefaults } from "./preference/loss-choice.ts";
import { type PairTrainerOptions, pairDefaults } from "./preference/pair-data.ts";
import type { AskOptions } from "./preference/run-trainer.ts";

export interface DpoOptions extends PairTrainerOptions, LossChoice, AskOptions, AdaptiveBetaOptions {
  /** What the policy is compared with; by default the policy at the start. */
  readonly refModel?: Model;
  /** Log-probabilities in place of log-ratios, as if the reference thought all responses equally likely. */
  readonly referenceFree?: boolean;
  /** Weight of the chosen responses' negative log-likelihood a token, which is added (Pang et al. 2024); none by default. */
  readonly rpoAlpha?: number;
}

/** Defaults, as the help texts print them. */
export const dpoDefaults = {
  ...pairDefaults,
  ...lossDefaults,
  ...adaptiveDefaults,
  referenceFree: false,
  precomputeRefLogProbs: true,
} as const satisfies Partial<DpoOptions>;
