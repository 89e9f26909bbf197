/**
 * Recipes: YAML to stages that run in order, each measured on the same held-out prompts, and a report.
 *
 * @example
 * import { readRecipe } from "attune/recipe";
 *
 * const text = "stages: { sft: { trainer: sft, model: my-model, data: rows.jsonl } }";
 * const recipe = readRecipe(text, { source: "mine.yaml" });
 * console.log(recipe.output_dir, recipe.stages.map(({ name }) => name)); // runs/mine, [sft]
 */
export { type AloneOptions, runStageAlone } from "./alone.ts";
export { readRecipeFile } from "./base.ts";
export { RecipeError } from "./errors.ts";
export {
  type Estimate,
  type EstimateOptions,
  estimateRecipe,
  type StageEstimate,
} from "./estimate/estimate.ts";
export type { Evaluation, Response } from "./evaluate.ts";
export { recipeJsonSchema } from "./json-schema.ts";
export { type Override, OverrideError, parseOverrides } from "./overrides.ts";
export { checkRecipe, type Recipe, type RecipeStage, readRecipe, recipeData, stageKeys } from "./recipe.ts";
export { type RecipeEvents, type RunRecipeOptions, type RunRecipeResult, runRecipe } from "./run.ts";
export { type RunRecord, readJson, type StageRecord } from "./run-files.ts";
export type { StageContext, StageKeys, StageKind, StageResult, StageStart } from "./stage.ts";
export { stageKinds } from "./stages/index.ts";
export {
  type RunSuiteOptions,
  readSuite,
  runSuite,
  type Suite,
  type SuiteMetric,
  type SuiteResult,
  suiteJsonSchema,
  suiteMetrics,
} from "./suite/index.ts";
