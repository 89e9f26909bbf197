/**
 * Training: one function an algorithm.
 *
 * @example
 * import { sft } from "attune/train";
 * import { loadModel } from "attune/models";
 *
 * const base = await loadModel("my-model");
 * const { model } = await sft({ model: base, data: [{ prompt: "Two and two is", completion: " four." }], maxSteps: 1 });
 */

export { type GaeOptions, gae, tokenRewards, whiten } from "./advantages.ts";
export { type DpoHooks, type DpoResult, type DpoStart, dpo } from "./dpo.ts";
export { type DpoOptions, dpoDefaults } from "./dpo-options.ts";
export { TrainError } from "./errors.ts";
export { type Fit, type FitResult, fitRows } from "./fit.ts";
export {
  type KlControl,
  type KlEstimator,
  type KlReading,
  klEstimators,
  klSchedules,
  nextKlCoef,
} from "./kl.ts";
export { type LanguageModelLossOptions, languageModelLoss } from "./language-model.ts";
export {
  type LoopOptions,
  type LoopResult,
  type LoopState,
  type StepBatch,
  type StepReport,
  trainLoop,
} from "./loop.ts";
export { type NewModel, newModelDefaults } from "./new-model.ts";
export type { Rows } from "./plan.ts";
export { type PpoHooks, type PpoResult, type PpoStart, ppo } from "./ppo.ts";
export type { StepInput, StepResponse } from "./ppo-checks.ts";
export type { PolicyLoss, PolicyTerms } from "./ppo-loss.ts";
export { type PpoOptions, type PpoStepOptions, ppoDefaults } from "./ppo-options.ts";
export type { PpoFrom, PpoState } from "./ppo-state.ts";
export { createPpo, type Ppo, type PpoCourse } from "./ppo-step.ts";
export {
  type PreferenceLoss,
  type PreferenceLossName,
  type PreferenceTerms,
  preferenceLosses,
  preferenceLossNames,
} from "./preference-losses.ts";
export { type PretrainOptions, pretrain, pretrainDefaults } from "./pretrain.ts";
export { type RewardHooks, type RewardResult, type RewardStart, reward } from "./reward.ts";
export { layoutOf, type PairLayout, rewardRows, rewardSpec } from "./reward-batch.ts";
export { rewardLoss } from "./reward-loss.ts";
export { type RewardOptions, rewardDefaults } from "./reward-options.ts";
export type { RolloutPrompt, RolloutResponse } from "./rollouts.ts";
export { type SftHooks, type SftResult, type SftStart, sft } from "./sft.ts";
export { type SftOptions, sftDefaults } from "./sft-options.ts";
export { compileTrainStep, type Loss, type StepOptions, trainStep } from "./step.ts";
export { createStepper, type Stepper, type StepperOptions } from "./stepper.ts";
export {
  type Course,
  type CustomLoss,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
} from "./trainer-options.ts";
