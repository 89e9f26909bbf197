/** The options of direct preference optimisation: names and defaults of TRL's DPOConfig in camelCase. */
import type { DataInput } from "../data/input.ts";
import type { PreferenceOptions } from "../data/preferences.ts";
import type { Model } from "../models/load.ts";
import { TrainError } from "./errors.ts";
import { type TrainerOptions, trainerDefaults } from "./loop/trainer-options.ts";
import {
  type PreferenceLoss,
  type PreferenceLossName,
  preferenceLosses,
} from "./preference/preference-losses.ts";

export interface DpoOptions
  extends TrainerOptions,
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
  /** A row of `preferenceLosses`, or a loss of one's own. */
  readonly lossType?: PreferenceLossName | PreferenceLoss;
  /** The pull towards the reference. */
  readonly beta?: number;
  /** Share of labels that are taken to be turned around. */
  readonly labelSmoothing?: number;
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
  lossType: "sigmoid",
  beta: 0.1,
  labelSmoothing: 0,
  precomputeRefLogProbs: true,
} as const satisfies Partial<DpoOptions>;

/**
 * The loss that the options name.
 *
 * @throws TrainError for figures outside their range, and for names that are none
 */
export function lossOf(
  o: Required<Pick<DpoOptions, "lossType" | "beta" | "labelSmoothing">>,
): PreferenceLoss {
  if (!(o.beta > 0)) throw new TrainError(`beta: a number above 0 is required, got ${o.beta}`);
  if (!(o.labelSmoothing >= 0 && o.labelSmoothing <= 0.5))
    throw new TrainError(`label_smoothing: a share from 0 to 0.5 is required, got ${o.labelSmoothing}`);
  if (typeof o.lossType === "function") return o.lossType;
  const loss: PreferenceLoss | undefined = preferenceLosses[o.lossType];
  if (!loss)
    throw new TrainError(
      `loss_type: one of ${Object.keys(preferenceLosses).join(", ")} is required, got ${o.lossType}`,
    );
  return loss;
}
