/** How hard an algorithm optimises: the field of its stage that says so, and values of it worth comparing. */
import { RecipeError } from "../../recipe/errors.ts";
import type { RecipeStage } from "../../recipe/recipe.ts";
import type { StageKind } from "../../recipe/stage.ts";
import { stageKinds } from "../../recipe/stages/index.ts";
import type { Study } from "../study/settings.ts";

/** In this order: what weighs the KL from the reference, or how much is selected. */
const strengthKeys = ["kl_coef", "beta", "max_kl", "n"] as const;

const kindOf = ({ trainer }: RecipeStage): StageKind => stageKinds[trainer] as StageKind;

/** The key of a stage that says how hard it optimises; undefined for one that has none. */
export const strengthKeyOf = (stage: RecipeStage): string | undefined =>
  strengthKeys.find((key) => key in kindOf(stage).keys.shape);

const varies = ({ settings }: Study): boolean =>
  settings.strengths !== undefined || settings.vary !== undefined;

function valueOf(stage: RecipeStage, key: string): number {
  const given = stage.keys[key] ?? kindOf(stage).keys.shape[key]?.meta()?.default;
  return typeof given === "number" && given > 0 ? given : 0.1;
}

/** For over-optimisation, where nothing is said: no KL penalty, and the stage's own, of the last stage with a reward. */
export function ownStrengths(study: Study): Study {
  const { recipe, settings } = study;
  const stage = recipe.stages
    .filter((each) => "reward" in kindOf(each).keys.shape && kindOf(each).answers)
    .at(-1);
  const key = stage && strengthKeyOf(stage);
  const snapshots = settings.snapshots ?? 10;
  if (!stage || !key || varies(study))
    return varies(study) ? { recipe, settings: { ...settings, snapshots } } : study;
  const strengths = { [`${stage.name}.${key}`]: [0, valueOf(stage, key)] };
  return { recipe, settings: { ...settings, strengths, snapshots } };
}

/**
 * For a frontier, where nothing is said: a third of each algorithm's strength, its own, and three times it.
 *
 * @throws RecipeError when no stage has a strength
 */
export function defaultStrengths(study: Study): Study {
  const { recipe, settings } = study;
  if (varies(study)) return study;
  const strengths = Object.fromEntries(
    recipe.stages.flatMap((stage) => {
      const key = kindOf(stage).answers ? strengthKeyOf(stage) : undefined;
      if (key === undefined) return [];
      const value = valueOf(stage, key);
      return [[`${stage.name}.${key}`, [value / 3, value, value * 3].map((x) => Number(x.toPrecision(3)))]];
    }),
  );
  if (Object.keys(strengths).length === 0)
    throw new RecipeError(
      "frontier: a stage with a strength (kl_coef or beta) is required, the recipe has none",
    );
  return { recipe, settings: { ...settings, strengths } };
}
