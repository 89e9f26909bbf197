/**
 * Measures of models, and statistics of what they wrote.
 *
 * @example
 * import { winRate, windowsOf } from "attune/evaluate";
 *
 * winRate([1, 2, 3, 4], [0, 2, 1, 5]).rate; // 0.625: two wins, a tie, a loss
 * windowsOf(20, 8); // windows of 8 tokens, 4 apart; every token but the first counts once
 */

export { type RougeVariant, rouge, rougeVariants } from "../reward/rouge.ts";
export { type RewardAlignment, rewardAlignment } from "./alignment.ts";
export { bleu, selfBleu } from "./bleu.ts";
export {
  type BootstrapOptions,
  bootstrap,
  bootstrapRows,
  type Interval,
  mean,
  quantile,
  standardDeviation,
} from "./bootstrap.ts";
export {
  type Calibration,
  type CalibrationBin,
  type CalibrationOptions,
  calibration,
  marginCalibration,
} from "./calibration.ts";
export { kendall, pearson, ranks, spearman } from "./correlation.ts";
export { distinctN, type LengthStatistics, lengthStatistics, repetition, type Tokens } from "./diversity.ts";
export {
  entropyOf,
  exactKl,
  type KlEstimator,
  klEstimators,
  loggedEntropy,
  loggedKl,
  type SampledKl,
} from "./kl.ts";
export {
  type KlBetween,
  type KlFigure,
  type KlOptions,
  klBetween,
  type SampleOptions,
  sampleResponses,
} from "./kl-between.ts";
export { type BradleyTerryRating, bradleyTerry, elo, type Game, type Rating } from "./leaderboard.ts";
export { createLogProbs, type LogProbs } from "./log-probs.ts";
export {
  bestOfN,
  bestOfNWeights,
  klOfBestOfN,
  powersUpTo,
  type ScoredSamples,
} from "./over-optimisation/best-of-n.ts";
export {
  type Curve,
  type CurveName,
  type CurvePoint,
  curveAt,
  curveForms,
  type FitOptions,
  type FitRunsOptions,
  type FittedCurve,
  fitCurve,
  fitRuns,
  highestAt,
  resampledCurves,
} from "./over-optimisation/curve.ts";
export {
  type Drift,
  type DriftInput,
  type DriftSignal,
  driftOf,
  driftSignals,
  duplicateShare,
} from "./over-optimisation/drift.ts";
export { less, peakShift, type Range, rangeOf } from "./over-optimisation/peak.ts";
export {
  type Gap,
  type JudgeBucket,
  type JudgeOptions,
  judgeByKl,
  type OwnPair,
  type Scale,
  scaleOf,
  widestGaps,
} from "./over-optimisation/proxy-gold.ts";
export {
  EvaluateError,
  type Perplexity,
  type PerplexityOptions,
  type PerplexityRow,
  perplexity,
  tokenNll,
  windowsOf,
} from "./perplexity.ts";
export {
  evaluateRewardModel,
  type LevelScores,
  type MarginBin,
  type RewardModelReport,
  rewardModelReport,
  type ScoredPair,
} from "./reward-model.ts";
export { type AccuracyBySubset, accuracyBySubset, type SubsetAccuracy } from "./subsets.ts";
export { createTokenPass, createTokenPasses, type TokenPass, type TokenPasses } from "./token-pass.ts";
export { type LengthControlledWinRate, lengthControlledWinRate, type WinRate, winRate } from "./win-rate.ts";
