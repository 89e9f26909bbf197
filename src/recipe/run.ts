/**
 * Runs a recipe: its stages in order, each in a folder of its own, each measured on the same held-out prompts, and the
 * report at the end. A stage that is done is not run again, so a run that was stopped goes on where it was.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type DataInput, weighted } from "../data/input.ts";
import { type Engine, flatten } from "../graph/index.ts";
import { loadModel, type Model } from "../models/load.ts";
import type { OpenedReward } from "../reward/reward.ts";
import { lockFolder } from "../runs/lock.ts";
import { makeFolder } from "../runs/make-folder.ts";
import { writeReport } from "../runs/report/report.ts";
import { writeJson } from "../runs/write-whole.ts";
import type { StepReport } from "../train/loop.ts";
import { RecipeError } from "./errors.ts";
import { createEvaluator, type Evaluation, type Evaluator } from "./evaluate.ts";
import type { Recipe, RecipeStage } from "./recipe.ts";
import { rewardOf } from "./rewards.ts";
import { type RunRecord, readJson, runRecord, type StageRecord, stageDir, writeRecipe } from "./run-files.ts";
import type { StageContext, StageKind, StageResult, StageStart } from "./stage.ts";
import { type StageCard, writeStageCard } from "./stage-card.ts";
import { stageKinds } from "./stages/index.ts";
import { worldFile, writeWorld } from "./world.ts";

export interface RecipeEvents {
  onStage?(stage: { name: string; trainer: string; index: number; of: number; done: boolean }): void;
  onStart?(stage: string, start: StageStart): void;
  onStep?(stage: string, report: StepReport): void;
  onStageEnd?(stage: string, record: StageRecord, evaluation?: Evaluation): void;
  note?(line: string): void;
}

export interface RunRecipeOptions extends RecipeEvents {
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  /** Go on with the run in the folder. */
  readonly resume?: boolean;
  /** Replace the run in the folder. */
  readonly overwrite?: boolean;
  /** The command line, for the record. */
  readonly command?: string;
  /** Attune's version, for the record. */
  readonly version?: string;
}

export interface RunRecipeResult {
  readonly dir: string;
  readonly reason: "done" | "stopped";
  readonly seconds: number;
  readonly stages: readonly StageRecord[];
  /** By stage; a reward model has none. */
  readonly evaluations: Readonly<Record<string, Evaluation>>;
  /** The report's path, when the run is done. */
  readonly report?: string;
}

const ownNames = ["recipe.yaml", "run.json", "data", "stages", "report.html"];

/**
 * Runs all stages of a recipe that are not done yet.
 *
 * @throws RecipeError when the folder holds something else; and whatever a stage throws, earlier stages intact
 */
export async function runRecipe(recipe: Recipe, options: RunRecipeOptions): Promise<RunRecipeResult> {
  const dir = resolve(recipe.output_dir);
  await makeFolder(dir);
  const unlock = await lockFolder(dir);
  try {
    return await runIn(dir, recipe, options);
  } finally {
    await unlock();
  }
}

async function runIn(dir: string, recipe: Recipe, options: RunRecipeOptions): Promise<RunRecipeResult> {
  const { signal = new AbortController().signal, resume = false, overwrite = false, engine } = options;
  await prepare(dir, { resume, overwrite });
  const started = performance.now();
  const previous = await readJson<RunRecord>(join(dir, "run.json"));
  const record = previous ?? runRecord(recipe, options.command ?? "", options.version ?? "");
  const seconds = () => record.seconds + (performance.now() - started) / 1000;
  if (!previous) {
    await writeRecipe(dir, recipe);
    await writeJson(join(dir, "run.json"), record);
  }
  if (recipe.world) await writeWorld(join(dir, "data"), recipe, options.note);
  const isStage = (name: string) => recipe.stages.some((stage) => stage.name === name);
  const pairsFile = (name: string) => join(stageDir(dir, name), "pairs.jsonl");
  const data = (reference: string | readonly string[]): DataInput =>
    [reference].flat().map((name) => {
      const { path, ...weight } = weighted(name);
      const file = worldFile(join(dir, "data"), path, recipe) ?? (isStage(path) ? pairsFile(path) : path);
      return { path: file, ...weight };
    });
  const models = new Map<string, Model>();
  const model = async (reference: string): Promise<Model> => {
    const known = models.get(reference);
    if (known) return known;
    const loaded = await loadModel(isStage(reference) ? stageDir(dir, reference) : reference, { signal });
    if (isStage(reference)) models.set(reference, loaded);
    return loaded;
  };
  const reward = (specification: unknown, policy?: Model): Promise<OpenedReward> =>
    rewardOf(specification, {
      recipe,
      engine,
      stageDir: (name) => join(stageDir(dir, name), "model"),
      ...(policy && { policy }),
    });
  const records: StageRecord[] = [];
  const evaluations: Record<string, Evaluation> = {};
  let evaluator: Evaluator | undefined;
  let reason: RunRecipeResult["reason"] = "done";
  try {
    for (const [index, stage] of recipe.stages.entries()) {
      const { name, trainer } = stage;
      const kind = stageKinds[trainer] as StageKind;
      const folder = stageDir(dir, name);
      const before = await readJson<StageRecord>(join(folder, "stage.json"));
      const done = before?.status === "done";
      options.onStage?.({ name, trainer, index, of: recipe.stages.length, done });
      let stageRecord = before;
      let trained: StageCard["trained"] | undefined;
      if (!done) {
        const context: StageContext = {
          name,
          dir: folder,
          engine,
          seed: recipe.seed,
          signal,
          resume: before !== undefined,
          overwrite: before === undefined,
          model,
          data,
          reward,
          onStart: (start) => options.onStart?.(name, start),
          onStep: (report) => options.onStep?.(name, report),
          note: (line) => options.note?.(line),
        };
        const result = await runStage(stage, context, before);
        stageRecord = result.record;
        if (result.record.status === "stopped") {
          records.push(result.record);
          reason = "stopped";
          break;
        }
        models.set(name, result.model);
        trained = { ...result.record, model: result.model };
      }
      records.push(stageRecord as StageRecord);
      if (recipe.evaluate?.prompts && kind.answers) {
        evaluator ??= await createEvaluator(recipe, { engine, data, model, reward, runDir: dir });
        const evaluation = await evaluator.evaluate(name, await model(name), folder, signal);
        if (evaluation) evaluations[name] = evaluation;
      }
      if (trained) {
        const { command, version } = options;
        const evaluation = evaluations[name];
        await writeStageCard(folder, { name, kind, keys: stage.keys, trained, evaluation, command, version });
      }
      options.onStageEnd?.(name, stageRecord as StageRecord, evaluations[name]);
      if (signal.aborted) {
        reason = "stopped";
        break;
      }
    }
  } finally {
    await evaluator?.dispose();
    await writeJson(join(dir, "run.json"), {
      ...record,
      seconds: seconds(),
      ...(reason === "done" && { finished: new Date().toISOString() }),
    });
  }
  const report = reason === "done" ? (await writeReport(dir)).path : undefined;
  return { dir, reason, seconds: seconds(), stages: records, evaluations, ...(report && { report }) };
}

/** The run's folder: empty, to be gone on with, or to be replaced. */
async function prepare(dir: string, { resume, overwrite }: { resume: boolean; overwrite: boolean }) {
  const names = (await readdir(dir).catch((): string[] => [])).filter((name) => !name.startsWith("."));
  if (resume) {
    if (!names.includes("recipe.yaml"))
      throw new RecipeError(`${dir}: a run to go on with is required (recipe.yaml), there is none`);
  } else if (names.length > 0) {
    if (!overwrite || !names.some((name) => ownNames.includes(name)))
      throw new RecipeError(
        `${dir}: the folder is not empty; choose another with --output_dir` +
          (names.includes("recipe.yaml")
            ? `, go on with attune run --resume ${dir}, or replace the run with --overwrite`
            : ""),
      );
    for (const name of ownNames) await rm(join(dir, name), { recursive: true, force: true });
  }
  await mkdir(dir, { recursive: true });
}

/** One stage with its record on disk: running, then done, stopped or failed. */
async function runStage(
  { name, trainer, keys }: RecipeStage,
  context: StageContext,
  before: StageRecord | undefined,
): Promise<{ record: StageRecord; model: Model }> {
  const kind = stageKinds[trainer] as StageKind;
  const path = join(context.dir, "stage.json");
  const started = performance.now();
  const seconds = () => (before?.seconds ?? 0) + (performance.now() - started) / 1000;
  const base = {
    name,
    trainer,
    steps: 0,
    model: { family: "", parameters: 0, from: String(keys[kind.models[0] as string] ?? "new") },
    data: { rows: 0, skipped: 0 },
    metrics: {},
  };
  await mkdir(context.dir, { recursive: true });
  await writeJson(path, { ...base, status: "running", seconds: seconds() });
  let result: StageResult;
  try {
    // The folder has our own record in it, so it is never empty: a new stage replaces what was left of it.
    result = await kind.run(keys, context);
  } catch (error) {
    await writeJson(path, { ...base, status: "failed", seconds: seconds() }).catch(() => {});
    throw error;
  }
  const { model, metrics, steps, reason, best, data, rewardModel } = result;
  const record: StageRecord = {
    ...base,
    status: reason === "stopped" ? "stopped" : "done",
    seconds: seconds(),
    steps,
    model: { ...base.model, family: model.config.family, parameters: parameterCount(model) },
    data,
    metrics,
    ...(best && { best }),
    ...(rewardModel && { reward_model: rewardModel }),
  };
  await writeJson(path, record);
  return { record, model };
}

const parameterCount = ({ parameters }: Model): number =>
  Object.values(flatten<{ data: { length: number } }>(parameters as never)).reduce(
    (n, { data }) => n + data.length,
    0,
  );
