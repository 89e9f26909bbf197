/** The work of `attune run`: reads a recipe, runs its stages, shows each, and says where the report is. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AttuneError } from "../../graph/errors.ts";
import { checkFiles } from "../../recipe/files-check.ts";
import {
  OverrideError,
  parseOverrides,
  type Recipe,
  RecipeError,
  readRecipe,
  readRecipeFile,
  runRecipe,
  stageKinds,
} from "../../recipe/index.ts";
import type { StageKind } from "../../recipe/stage.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { duration } from "../progress.ts";
import { recipeFile, recipeNames } from "../recipe-box.ts";
import { evaluationLine, type StageDisplay, stageDisplay } from "../stage-display.ts";
import { version } from "../version.ts";

interface Options {
  readonly resume?: string;
  readonly overwrite?: boolean;
  readonly check?: boolean;
}

export const runRun: Implementation<Options> = async (context, options, ...operands) => {
  const recipe = options.resume ? await recipeOfRun(options.resume, operands) : await recipeFrom(operands);
  if (options.check) {
    checkFiles(recipe);
    context.result(
      { ok: true, stages: recipe.stages.map(({ name }) => name) },
      `${recipe.name}: nothing is wrong`,
    );
    return;
  }
  await showRun(context, recipe, {
    resume: options.resume !== undefined,
    overwrite: options.overwrite ?? false,
  });
};

async function recipeOfRun(dir: string, operands: readonly string[]): Promise<Recipe> {
  if (operands.length > 0)
    throw new UsageError(`--resume goes on with the run's own recipe; leave out ${operands.join(" ")}`);
  const source = join(dir, "recipe.yaml");
  const content = await readFile(source, "utf8").catch(() => {
    throw new RecipeError(`${dir}: the folder of a run is required (with recipe.yaml)`);
  });
  return { ...readRecipe(content, { source }), output_dir: dir };
}

/** The recipe of the command line: a file, or one in the box, with fields. */
export async function recipeFrom(operands: readonly string[]): Promise<Recipe> {
  const [name, ...fields] = operands;
  if (name === undefined || name.startsWith("--"))
    throw new UsageError(
      `run: a recipe is required${name === undefined ? "" : ` before ${name}`}: a YAML file, or one of ${(await recipeNames()).join(", ")}`,
    );
  const path = await recipeFile(name, await recipeNames());
  const plain = await readRecipeFile(path).catch((error: unknown) => {
    if (error instanceof RecipeError) return undefined;
    throw error;
  });
  try {
    return await readRecipeFile(path, { overrides: parseOverrides(fields) });
  } catch (error) {
    // What is wrong only with the fields of the command line is wrong usage.
    if (error instanceof OverrideError || (error instanceof RecipeError && plain))
      throw new UsageError(error.message.replace(`${path}: `, ""));
    throw error;
  }
}

/** Runs a recipe and shows it; shared with `attune demo`. */
export async function showRun(
  context: CliContext,
  recipe: Recipe,
  { resume, overwrite }: { resume: boolean; overwrite: boolean },
): Promise<void> {
  const engine = await openEngine(context);
  let display: StageDisplay | undefined;
  try {
    const result = await runRecipe(recipe, {
      engine,
      signal: context.signal,
      resume,
      overwrite,
      command: `attune ${process.argv.slice(2).join(" ")}`,
      version: version(),
      note: context.note,
      onStage: ({ name, trainer, index, of, done }) => {
        const kind = stageKinds[trainer] as StageKind;
        display = stageDisplay(context, kind, name);
        context.note(`\n${index + 1}/${of} ${name}: ${done ? "done before" : kind.description}`);
      },
      onStart: (_, start) => display?.start(start),
      onStep: (_, report) => display?.step(report),
      onEvaluation: (name, evaluation) => context.note(`   ${name}: ${evaluationLine(evaluation)}`),
      onStageEnd: (_, { seconds, pushed }, evaluation) => {
        display?.done();
        if (evaluation) context.note(`   ${evaluationLine(evaluation)}`);
        if (pushed) context.note(`   it is at ${pushed}`);
        context.note(`   ${duration(seconds)}`);
      },
    });
    display?.done();
    if (result.reason === "stopped") {
      context.note(
        `stopped; attune run --resume ${recipe.output_dir} goes on` +
          (result.report ? `; the report so far: ${result.report}` : ""),
      );
      return;
    }
    const { seconds, evaluations, report, stages } = result;
    context.result(
      { output_dir: recipe.output_dir, seconds, report, stages, evaluations },
      [
        "",
        `${recipe.name}: ${counted(stages.length, "stage")} in ${duration(seconds)}`,
        ...Object.entries(evaluations).map(
          ([name, evaluation]) => `  ${name}: ${evaluationLine(evaluation)}`,
        ),
        `the report: ${report}`,
      ].join("\n"),
    );
  } catch (error) {
    // What stands in a recipe is no wrong use of the command line, whoever refuses it.
    if (error instanceof AttuneError && error.wrongUsage)
      throw new RecipeError(`${recipe.name}: ${error.message}`, { cause: error });
    throw error;
  } finally {
    await engine.dispose();
  }
}
