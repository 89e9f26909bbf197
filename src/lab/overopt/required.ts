/** What a study of over-optimisation cannot do without. */
import { RecipeError } from "../../recipe/errors.ts";
import type { Grid } from "../study/grid.ts";
import type { Study } from "../study/settings.ts";

/**
 * Runs or samples for best-of-n, a gold reward, and prompts.
 *
 * @throws RecipeError for the first that there is none of
 */
export function requireSomethingToStudy({ recipe, settings }: Study, { cells }: Pick<Grid, "cells">): void {
  const { evaluate = {} } = recipe;
  const { model, proxy, proxies, best_of_n: n = 64 } = settings;
  const stages = recipe.stages.map(({ name }) => name).join(", ");
  if (cells.length === 0 && (model === undefined || (proxy ?? proxies) === undefined))
    throw new RecipeError(
      `overopt: a stage that optimises a reward and has a strength (kl_coef, beta, max_kl or n) is required, or a model and a proxy for best-of-n; ${stages === "" ? "there are no stages" : `the stages are ${stages}`}: give --strength FIELD=VALUES of one that answers prompts, or --model and --proxy`,
    );
  if (cells.length === 0 && n < 2)
    throw new RecipeError(
      `overopt: best-of-n of at least 2 samples is required where nothing is trained, got ${n}; give --best-of-n 64, or a stage to train`,
    );
  if ((settings.gold ?? evaluate.reward) === undefined)
    throw new RecipeError(
      "overopt: a gold reward is required, to tell what the proxy's rise is worth; give --gold, study.gold or evaluate.reward",
    );
  if ((settings.prompts ?? evaluate.prompts) === undefined)
    throw new RecipeError(
      "overopt: held-out prompts are required; give --prompts, study.prompts or evaluate.prompts",
    );
}
