/** The work of `attune demo`: the recipe of the built-in world, gone on with where it was stopped, else anew. */
import { join } from "node:path";
import { type RunRecord, readJson } from "../../recipe/index.ts";
import type { Implementation } from "../command.ts";
import { recipeFrom, showRun } from "./run-run.ts";

interface Options {
  readonly output: string;
  readonly seed?: number;
}

export const runDemo: Implementation<Options> = async (context, { output, seed }, ...fields) => {
  const given = ["--output_dir", output, ...(seed === undefined ? [] : ["--seed", String(seed)]), ...fields];
  const recipe = await recipeFrom(["world", ...given]);
  const before = await readJson<RunRecord>(join(output, "run.json"));
  const unfinished = before !== undefined && before.finished === undefined && before.seed === recipe.seed;
  context.note(
    unfinished
      ? `going on with the run in ${output}`
      : "a language model from nothing: pre-training, demonstrations, a reward model, PPO and DPO; a few minutes",
  );
  await showRun(context, recipe, { resume: unfinished, overwrite: !unfinished });
};
