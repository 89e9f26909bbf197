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

export { type BcoOptions, bco, bcoDefaults } from "./bco.ts";
export {
  type BestOf,
  type BestOfOptions,
  bestIndex,
  bestOfDefaults,
  bestOfKl,
  bestOfN,
} from "./best-of-n.ts";
export { type CpoOptions, cpo, cpoDefaults, cpoLosses } from "./cpo.ts";
export { dpo } from "./dpo.ts";
export { type DpoOptions, dpoDefaults } from "./dpo-options.ts";
export {
  type CallerRequest,
  type ConversationOptions,
  callerRequests,
  conversation,
} from "./environment/conversation.ts";
export type { Environment, MakeEnvironment, Reset, ResetOptions, Step } from "./environment/environment.ts";
export { type Episode, type EpisodeOptions, runEpisodes, type Turn } from "./environment/episodes.ts";
export { openEnvironment } from "./environment/node-environment.ts";
export { TrainError } from "./errors.ts";
export {
  type ExpertIterationOptions,
  expertIteration,
  expertIterationDefaults,
} from "./expert-iteration.ts";
export { type GroupOptions, groupDefaults } from "./group-options.ts";
export {
  createGrpo,
  type GrpoLossType,
  type GrpoOptions,
  grpo,
  grpoDefaults,
  grpoLossTypes,
} from "./grpo.ts";
export { type KtoOptions, kto, ktoDefaults } from "./kto.ts";
export {
  type ListwiseHooks,
  type ListwiseOptions,
  type ListwiseStart,
  listwise,
  listwiseDefaults,
} from "./listwise.ts";
export type { Dials, StepFacts } from "./loop/dials.ts";
export { type Fit, type FitResult, fitRows } from "./loop/fit.ts";
export { type LanguageModelLossOptions, languageModelLoss } from "./loop/language-model.ts";
export {
  type LoopOptions,
  type LoopResult,
  type LoopState,
  type StepBatch,
  type StepReport,
  trainLoop,
} from "./loop/loop.ts";
export { type NewModel, newModelDefaults } from "./loop/new-model.ts";
export type { Rows } from "./loop/plan.ts";
export { compileTrainStep, type Loss, type StepOptions, trainStep } from "./loop/step.ts";
export { createStepper, type Stepper, type StepperOptions } from "./loop/stepper.ts";
export {
  type Course,
  type CustomLoss,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
} from "./loop/trainer-options.ts";
export { type MultiTurnOptions, multiTurn, multiTurnDefaults } from "./multi-turn.ts";
export { type NashMdOptions, nashMd, nashMdDefaults } from "./nash-md.ts";
export { type OnlineDpoOptions, onlineDpo, onlineDpoDefaults } from "./online-dpo.ts";
export { type OrpoOptions, orpo, orpoDefaults } from "./orpo.ts";
export { type GaeOptions, gae, tokenRewards, whiten } from "./policy/advantages.ts";
export type { Algorithm, Findings, IterationFigures, Learned } from "./policy/algorithm.ts";
export type { StepInput, StepResponse } from "./policy/checks.ts";
export { groupAdvantages, leaveOneOut, type ScaleRewards } from "./policy/groups.ts";
export {
  type KlControl,
  type KlEstimator,
  type KlReading,
  klEstimators,
  klSchedules,
  nextKlCoef,
} from "./policy/kl.ts";
export { createOnPolicy, type OnPolicy, type PolicyCourse } from "./policy/on-policy.ts";
export { createPpo } from "./policy/ppo-algorithm.ts";
export type { RolloutPrompt, RolloutResponse } from "./policy/rollouts.ts";
export type {
  IterationOptions,
  PolicyHooks,
  PolicyResult,
  PolicyStart,
} from "./policy/run/iterations.ts";
export { runOnPolicy } from "./policy/run/on-policy-run.ts";
export type { PolicyFrom, PolicyState } from "./policy/run/state.ts";
export {
  importances,
  type PolicyLoss,
  type PolicyTerms,
  policyLosses,
} from "./policy/update/policy-losses.ts";
export { type PpoHooks, type PpoResult, type PpoStart, ppo } from "./ppo.ts";
export { type PpoOptions, type PpoStepOptions, ppoDefaults } from "./ppo-options.ts";
export { type FDivergence, fDivergences } from "./preference/divergences.ts";
export type { LabelHooks, LabelStart } from "./preference/label-data.ts";
export type { LossChoice } from "./preference/loss-choice.ts";
export type { PairHooks, PairStart } from "./preference/pair-data.ts";
export {
  type PreferenceLoss,
  type PreferenceLossName,
  type PreferenceTerms,
  preferenceLosses,
  preferenceLossNames,
} from "./preference/preference-losses.ts";
export { type PretrainOptions, pretrain, pretrainDefaults } from "./pretrain.ts";
export type { PromptedOptions, SamplingOptions } from "./prompted-options.ts";
export { createReinforce, type ReinforceOptions, reinforce, reinforceDefaults } from "./reinforce.ts";
export { type PrmOptions, type PrmStart, prm, prmDefaults } from "./reward/prm.ts";
export { layoutOf, type PairLayout, rewardRows, rewardSpec } from "./reward/reward-batch.ts";
export {
  type RewardEnsembleOptions,
  type RewardEnsembleResult,
  rewardEnsemble,
} from "./reward/reward-ensemble.ts";
export { rewardLoss } from "./reward/reward-loss.ts";
export { type RewardHooks, type RewardResult, type RewardStart, reward } from "./reward.ts";
export { type RewardOptions, rewardDefaults } from "./reward-options.ts";
export { createRloo, type RlooOptions, rloo, rlooDefaults } from "./rloo.ts";
export { type SftHooks, type SftResult, type SftStart, sft } from "./sft.ts";
export { type SftOptions, sftDefaults } from "./sft-options.ts";
export { type SimpoOptions, simpo, simpoDefaults } from "./simpo.ts";
export { type TrpoOptions, trpo, trpoDefaults } from "./trpo.ts";
