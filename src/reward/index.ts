/**
 * Rewards: functions from a batch of responses to scores, whatever they are made of.
 *
 * @example
 * import { openReward } from "attune/reward";
 *
 * const reward = await openReward(["rule:length_band?min=3&max=12", "0.5*rule:clarifying_question"]);
 * await reward.score([{ prompt: "Book a table.", completion: "For how many people, and when?" }]); // [1.5]
 */
export {
  type Attribution,
  type AttributionOptions,
  type Attributor,
  attributions,
  createAttributor,
} from "./attribution/attribution.ts";
export {
  type PairLossOptions,
  type Pairs,
  pairLoss,
  pairLosses,
  type TieModel,
  type Ties,
  tieModels,
} from "./bradley-terry.ts";
export {
  type CheckpointReward,
  type CheckpointRewardOptions,
  checkpointReward,
  type Ranked,
} from "./checkpoint-reward.ts";
export {
  type Combination,
  type Combined,
  type CombineOptions,
  combinations,
  combineDefaults,
  combined,
} from "./ensemble/combine.ts";
export { type EnsembleOptions, type EnsembleReward, ensemble } from "./ensemble/ensemble.ts";
export { type EnsembleFolder, isEnsemble, readEnsemble, writeEnsemble } from "./ensemble/node-folder.ts";
export { type ChatOptions, chatEndpoint } from "./judge/chat-endpoint.ts";
export {
  checkedJudge,
  type Judge,
  type JudgePair,
  type JudgeReport,
  judgeOf,
  type OpenedJudge,
  type Preference,
  type RewardJudgeOptions,
  rewardJudge,
} from "./judge/judge.ts";
export { type LabelledPair, type LabelOptions, type LabelSummary, labelPairs } from "./judge/label.ts";
export {
  type Asked,
  judgeDefaults,
  type LanguageJudgeOptions,
  languageJudge,
} from "./judge/language-judge.ts";
export { localModel } from "./judge/local-model.ts";
export { type JudgeSpec, type OpenJudgeOptions, openJudge } from "./judge/node-open-judge.ts";
export { loadJudgePairs, type UnjudgedPair } from "./judge/node-pairs.ts";
export { defaultTemplate } from "./judge/question.ts";
export { moduleReward } from "./node-module.ts";
export { type OpenRewardOptions, openReward } from "./node-open.ts";
export { type Normalisation, normalisationOf, statisticsOf, withNormalisation } from "./normalisation.ts";
export { normalisedWeights, type ObjectiveWeights } from "./objectives.ts";
export { observed } from "./observed.ts";
export { plackettLuceLosses } from "./plackett-luce.ts";
export { type Pooling, poolingOf, poolings } from "./pooling.ts";
export type { RemoteParts } from "./post.ts";
export { type Aggregate, type ProcessReward, processReward } from "./process.ts";
export { type RemoteOptions, remoteReward } from "./remote.ts";
export {
  checked,
  type OpenedReward,
  type Reward,
  RewardError,
  type RewardInput,
  type RewardParts,
  spreadOf,
} from "./reward.ts";
export { type MaskedBatch, type RowBatch, rewardsOf, rowBatchSpec } from "./reward-model.ts";
export { type RougeVariant, rouge, rougeVariants } from "./rouge.ts";
export { isRule, ruleReward, rules } from "./rules/index.ts";
export type { Rule } from "./rules/rule.ts";
export { type ScoreRowsOptions, scoreRows } from "./score-rows.ts";
export {
  createHeadScorer,
  createScorer,
  type HeadScorer,
  type ScoredModel,
  type Scorer,
  type ScorerOptions,
  type ScoresOptions,
} from "./scorer.ts";
export { type ParsedReward, parseReward, type RewardObject, type RewardSpec } from "./spec.ts";
export { scoreParts, type WeightedReward, weightedSum } from "./sum.ts";
