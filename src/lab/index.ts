/**
 * Experiments on alignment itself: how far an optimiser is from the best that there is.
 *
 * @example
 * import { allResponses, optimalPolicy, valueOf } from "attune/lab";
 *
 * const responses = allResponses(2, { eosTokenId: 0, maxLength: 2 }); // [0], [1, 0], [1, 1]
 * const reference = [Float64Array.from([0.5, 0.25, 0.25], Math.log)];
 * const rewards = [Float64Array.of(0, 0, 1)];
 * const { policy, value } = optimalPolicy({ rewards }, reference, 0.5);
 * valueOf({ rewards }, policy, reference, 0.5).objective === value; // up to rounding
 * console.log(responses.length, value);
 */

export {
  type FrontierFigures,
  frontierFigures,
  overSeeds,
  type SeedFigures,
  type SettingFigures,
} from "./frontier/figures.ts";
export { type FrontierResult, frontier } from "./frontier/frontier.ts";
export { type LettersOptions, type LettersProblem, lettersProblem } from "./letters.ts";
export {
  allResponses,
  centred,
  type EnumerableProblem,
  type LogPolicy,
  logPolicyOf,
  optimalPolicy,
  type PolicyValue,
  valueOf,
} from "./optimum.ts";
export {
  type BestOfNPoint,
  type GapSample,
  type OveroptFigures,
  overoptFigures,
  type ProxyFigures,
} from "./overopt/figures.ts";
export type { Outcome, RunGroup, RunPoint } from "./overopt/groups.ts";
export type { Highest } from "./overopt/highest.ts";
export { type OveroptResult, overopt } from "./overopt/overopt.ts";
export {
  type DrawnLabel,
  type DrawnPair,
  type DrawnRanking,
  drawLabels,
  drawPreferences,
  drawRankings,
} from "./preferences.ts";
export type { StudyEvents } from "./study/events.ts";
export type { CellData, CellRecord, ReferenceSamples, StudyData } from "./study/files.ts";
export { type Cell, type Grid, gridOf } from "./study/grid.ts";
export { type Measured, measureModel, type StudyPoint, type StudyResponse } from "./study/measure.ts";
export { runStudy, type StudyOptions, type StudyResult } from "./study/run.ts";
export { checkStudy, readStudyFile, type Study, type StudySettings } from "./study/settings.ts";
