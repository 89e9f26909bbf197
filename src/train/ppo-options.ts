/** The options of PPO: names and defaults of TRL's PPOConfig in camelCase, where there is no reason to differ. */

import type { Model } from "../models/load.ts";
import { TrainError } from "./errors.ts";
import { type Condition, refuseIdle } from "./idle-options.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { checkKlControl, type KlControl, type KlEstimator, klTerms } from "./policy/kl.ts";
import type { PolicyLoss } from "./policy/update/policy-losses.ts";
import {
  checkCounts,
  checkSampling,
  type PromptedOptions,
  promptedDefaults,
  type SamplingOptions,
} from "./prompted-options.ts";

/**
 * An iteration samples one response for each of `batchSize * gradientAccumulation` prompts, and updates policy and
 * critic `numPpoEpochs * numMiniBatches` times with them, in micro-batches of at most `batchSize` rows.
 */
export interface PpoStepOptions extends SamplingOptions {
  /**
   * Where the critic starts: as the policy, as the reward model, as another model, or from a folder or hub id. A given
   * critic keeps its head; a new head is zero. Default "policy".
   */
  readonly critic?: "policy" | "reward" | Model | (string & {}) | undefined;
  /** The critic is a value head on the policy's hidden states. */
  readonly sharedBackbone?: boolean | undefined;
  /** By default that of the policy. */
  readonly criticLearningRate?: number | undefined;
  /** Responses in all; wins over `numEpochs`, and `maxSteps` over it. */
  readonly totalEpisodes?: number | undefined;
  /** Passes over the responses of an iteration. */
  readonly numPpoEpochs?: number | undefined;
  /** Optimiser steps of a pass. */
  readonly numMiniBatches?: number | undefined;
  readonly cliprange?: number | undefined;
  readonly cliprangeValue?: number | undefined;
  readonly vfCoef?: number | undefined;
  readonly entropyCoef?: number | undefined;
  readonly gamma?: number | undefined;
  readonly lam?: number | undefined;
  readonly whitenRewards?: boolean | undefined;
  /** beta; 0 for none. */
  readonly klCoef?: number | undefined;
  readonly klEstimator?: KlEstimator | undefined;
  /** Whether beta KL is taken off the rewards or added to the loss; never both. */
  readonly klIn?: "reward" | "loss" | undefined;
  readonly klSchedule?: KlControl["klSchedule"] | undefined;
  /** Of annealed coefficients: the last one. */
  readonly klCoefEnd?: number | undefined;
  /** Of the adaptive coefficient: nats per response against the reference. */
  readonly klTarget?: number | undefined;
  /** Of the adaptive coefficient: in responses. */
  readonly klHorizon?: number | undefined;
  /**
   * A hard constraint: nats per token against the reference, at most. After each iteration the policy is drawn back
   * towards the reference until it holds (policy/kl-bound.ts). Default: none.
   */
  readonly klBound?: number | undefined;
  /** Ends the updates of an iteration early: nats per token against the old policy; 0.01 to 0.02 are usual. */
  readonly targetKl?: number | undefined;
  /** Sample with projections in 8 bits, and correct for it by the ratio of the probabilities. */
  readonly int8Rollouts?: boolean | undefined;
  /** Where Adam's epsilon stands; in TensorFlow's place it weighs more in the first steps. */
  readonly epsilonPlacement?: "pytorch" | "tensorflow" | undefined;
  /** In place of the clipped loss. */
  readonly policyLoss?: PolicyLoss | undefined;
}

export interface PpoOptions extends PpoStepOptions, PromptedOptions {}

/** Defaults, as the help texts print them. */
export const ppoDefaults = {
  ...promptedDefaults,
  optimizer: "adam",
  adamEpsilon: 1e-5,
  epsilonPlacement: "tensorflow",
  sharedBackbone: false,
  critic: "policy",
  numPpoEpochs: 4,
  numMiniBatches: 1,
  cliprange: 0.2,
  cliprangeValue: 0.2,
  vfCoef: 0.1,
  entropyCoef: 0,
  gamma: 1,
  lam: 0.95,
  whitenRewards: false,
  klCoef: 0.1,
  klEstimator: "k1",
  klIn: "reward",
  klSchedule: "fixed",
  klCoefEnd: 0,
  klTarget: 6,
  klHorizon: 10_000,
  int8Rollouts: false,
} as const satisfies Partial<PpoOptions>;

const conditions: readonly Condition<PpoOptions>[] = [
  {
    names: ["klCoefEnd"],
    holds: (o) => o.klSchedule === "linear" || o.klSchedule === "cosine",
    needs: "kl_schedule linear or cosine",
  },
  {
    names: ["klTarget", "klHorizon"],
    holds: (o) => o.klSchedule === "adaptive",
    needs: "kl_schedule adaptive",
  },
  {
    names: ["critic", "criticLearningRate"],
    holds: (o) => !o.sharedBackbone,
    needs: "a critic of its own, shared_backbone false",
  },
];

/**
 * Refuses what `settingsOf` does, and options that were given and would do nothing.
 *
 * @throws TrainError with the option and what it needs
 */
export function checkPpo(options: Partial<PpoOptions>): void {
  refuseIdle(options, conditions);
  settingsOf(options as PpoStepOptions);
}

export type PpoSettings = Omit<ReturnType<typeof settingsOf>, "numSamples">;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function settingsOf<O extends PpoStepOptions>(options: O) {
  const o = withDefaults(ppoDefaults, options);
  const fail = (message: string): never => {
    throw new TrainError(message);
  };
  checkSampling(o);
  checkCounts(o, 1, ["numPpoEpochs", "numMiniBatches"]);
  if (o.klIn === "loss" && !(o.klEstimator in klTerms))
    fail(
      `kl_estimator: ${Object.keys(klTerms).join(" or ")} is required for a KL in the loss, got ${o.klEstimator}` +
        (o.klEstimator === "k1" ? ", whose gradient is zero in expectation" : ""),
    );
  if (o.targetKl !== undefined && !(o.targetKl > 0))
    fail(`target_kl: nats per token above 0 are required, got ${o.targetKl}`);
  if (o.klBound !== undefined && !(o.klBound > 0))
    fail(`kl_bound: nats per token above 0 are required, got ${o.klBound}`);
  if (o.klBound !== undefined && o.emaDecay !== undefined)
    fail("kl_bound: it holds for the last weights and not for their moving average; leave ema_decay out");
  checkKlControl(o);
  return o;
}
