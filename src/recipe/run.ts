/**
 * Runs a recipe: its stages in order, each in a folder of its own, each measured on the same held-out prompts, and the
 * report at the end. A stage that is done is not run again, so a run that was stopped goes on where it was.
 */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Engine, flatten } from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import { isEnsemble } from "../reward/ensemble/node-folder.ts";
import { checkPush, pushToHub } from "../runs/hub-push.ts";
import { lockFolder } from "../runs/lock.ts";
import { makeFolder } from "../runs/make-folder.ts";
import { writeReport } from "../runs/report/report.ts";
import { writeJson } from "../runs/write-whole.ts";
import type { StepReport } from "../train/loop/loop.ts";
import { RecipeError } from "./errors.ts";
import { createEvaluator, type Evaluation } from "./evaluate.ts";
import { checkFiles } from "./files-check.ts";
import { createPlace, type Place } from "./place.ts";
import type { Recipe, RecipeStage } from "./recipe.ts";
import { type RunRecord, readJson, runRecord, type StageRecord, stageDir, writeRecipe } from "./run-files.ts";
import { sharedStages } from "./shared-stages.ts";
import type { StageKind, StageResult, StageStart } from "./stage.ts";
import { writeStageCard } from "./stage-card.ts";
import { stageKinds } from "./stages/index.ts";
import { writeWorld } from "./world.ts";

export interface RecipeEvents {
  onStage?(stage: { name: string; trainer: string; index: number; of: number; done: boolean }): void;
  onStart?(stage: string, start: StageStart): void;
  onStep?(stage: string, report: StepReport): void;
  /** An earlier stage was measured, which had waited for the stage that measures. */
  onEvaluation?(stage: string, evaluation: Evaluation): void;
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
  /** The report's path: of the whole run, or as far as it went. */
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
  const { resume = false, overwrite = false, engine } = options;
  const limit = limited(options.signal, recipe.max_minutes);
  const { signal } = limit;
  for (const { push_to_hub: repo } of recipe.stages) if (repo !== undefined) checkPush({ repo });
  checkFiles(recipe);
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
  const place = createPlace(dir, recipe, { engine, signal, note: options.note });
  const evaluator = createEvaluator(recipe, place, options.note);
  const shared = sharedStages(dir, recipe);
  const stages: StageRecord[] = [];
  const evaluations: Record<string, Evaluation> = {};
  let reason: RunRecipeResult["reason"] | undefined;
  let report: string | undefined;
  try {
    for (const [index, stage] of recipe.stages.entries()) {
      const { name, trainer } = stage;
      const kind = stageKinds[trainer] as StageKind;
      const folder = stageDir(dir, name);
      const path = join(folder, "stage.json");
      const earlier = await readJson<StageRecord>(path);
      const taken = earlier ? undefined : await shared.take(name);
      if (taken) options.note?.(`${name}: as an earlier run on the same base left it (${taken})`);
      const before = taken ? await readJson<StageRecord>(path) : earlier;
      const done = before?.status === "done";
      options.onStage?.({ name, trainer, index, of: recipe.stages.length, done });
      let now = done ? before : await runStage(stage, { place, recipe, options, signal, before });
      stages.push(now);
      if (now.status === "stopped") break;
      for (const waiting of evaluator.ready(stages.map((row) => row.name))) {
        const evaluation = await evaluator.evaluate(waiting, signal);
        if (evaluation) evaluations[waiting] = evaluation;
        if (evaluation && waiting !== name) options.onEvaluation?.(waiting, evaluation);
      }
      if (!done && kind.leavesModel && !isEnsemble(folder))
        await writeCard(stage, now, { place, options, evaluation: evaluations[name] });
      if (stage.push_to_hub !== undefined && !now.pushed && !signal.aborted) {
        now = await push(folder, now, stage.push_to_hub, signal);
        stages.splice(-1, 1, now);
      }
      options.onStageEnd?.(name, now, evaluations[name]);
      if (!done) await shared.leave(name);
      if (signal.aborted) break;
    }
    reason = signal.aborted ? "stopped" : "done";
  } catch (error) {
    if (stages.some(({ status }) => status === "done"))
      options.note?.(
        `the stages before it are done; attune run --resume ${dir} goes on after them, also with what you correct in ${join(dir, "recipe.yaml")}`,
      );
    throw error;
  } finally {
    limit.done();
    await place.closeRewards();
    await writeJson(join(dir, "run.json"), {
      ...record,
      seconds: seconds(),
      ...(reason === "done" && { finished: new Date().toISOString() }),
    });
    // A run that was stopped or failed is reported as far as it went; what stopped it is what must be heard of.
    if (reason !== "done") report = await partialReport(dir);
  }
  if (reason === "done") report = (await writeReport(dir)).path;
  return { dir, reason, seconds: seconds(), stages, evaluations, ...(report && { report }) };
}

const partialReport = (dir: string): Promise<string | undefined> =>
  writeReport(dir).then(
    ({ path }) => path,
    () => undefined,
  );

/** Uploads a stage's model, and remembers it: a run that goes on does not do it twice. */
async function push(
  folder: string,
  record: StageRecord,
  repo: string,
  signal: AbortSignal,
): Promise<StageRecord> {
  const { url } = await pushToHub(folder, { repo, signal });
  const pushed = { ...record, pushed: url };
  await writeJson(join(folder, "stage.json"), pushed);
  return pushed;
}

/**
 * A signal that aborts with the caller's, or after so many minutes, until `done`. The timer holds its controller: an
 * AbortSignal.timeout that only AbortSignal.any refers to is collected by Node 20, and never fires.
 */
function limited(outer: AbortSignal | undefined, minutes: number | undefined) {
  const own = new AbortController();
  const timer =
    minutes === undefined
      ? undefined
      : setTimeout(() => own.abort(new Error(`max_minutes: ${minutes} are over`)), minutes * 60_000);
  const stop = () => own.abort(outer?.reason);
  if (outer?.aborted) stop();
  outer?.addEventListener("abort", stop, { once: true });
  return {
    signal: own.signal,
    done() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", stop);
    },
  };
}

/** The run's folder: empty, to be gone on with, or to be replaced. */
async function prepare(dir: string, { resume, overwrite }: { resume: boolean; overwrite: boolean }) {
  const names = (await readdir(dir).catch((): string[] => [])).filter((name) => !name.startsWith("."));
  if (resume) {
    if (!names.includes("recipe.yaml"))
      throw new RecipeError(`${dir}: a run to go on with is required (recipe.yaml), there is none`);
  } else if (names.length > 0) {
    const replaces = overwrite && names.some((name) => ownNames.includes(name));
    if (!replaces && !(await isUnbegun(dir, names)))
      throw new RecipeError(
        `${dir}: the folder is not empty; choose another with --output_dir` +
          (names.includes("recipe.yaml")
            ? `, go on with attune run --resume ${dir}, or replace the run with --overwrite`
            : ""),
      );
    for (const name of ownNames) await rm(join(dir, name), { recursive: true, force: true });
  }
  await makeFolder(dir);
}

/**
 * Whether a folder is a run's and holds nothing that was computed: its first stage failed before it had anything to keep.
 * Only a run leaves a run.json that reads as one; a person's own data/ or recipe.yaml is not a run.
 */
async function isUnbegun(dir: string, names: readonly string[]): Promise<boolean> {
  const record = names.includes("run.json") ? await readJson<RunRecord>(join(dir, "run.json")) : undefined;
  if (record?.attune === undefined || !names.every((name) => ownNames.includes(name))) return false;
  const stages = await readdir(join(dir, "stages")).catch((): string[] => []);
  const computed = stages.map(async (name) => {
    const folder = stageDir(dir, name);
    const kept = await readdir(join(folder, "checkpoints")).catch((): string[] => []);
    return kept.length > 0 || (await readJson<StageRecord>(join(folder, "stage.json")))?.status === "done";
  });
  return !(await Promise.all(computed)).includes(true);
}

interface StageRun {
  readonly place: Place;
  readonly recipe: Recipe;
  readonly options: RunRecipeOptions;
  readonly signal: AbortSignal;
  readonly before: StageRecord | undefined;
}

/** One stage with its record on disk: running, then done, stopped or failed. */
async function runStage(
  { name, trainer, keys }: RecipeStage,
  { place, recipe, options, signal, before }: StageRun,
): Promise<StageRecord> {
  const kind = stageKinds[trainer] as StageKind;
  const dir = stageDir(place.dir, name);
  const path = join(dir, "stage.json");
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
  await makeFolder(dir);
  await writeJson(path, { ...base, status: "running", seconds: seconds() });
  let result: StageResult;
  try {
    result = await kind.run(keys, {
      ...place,
      name,
      dir,
      signal,
      seed: recipe.seed,
      resume: before !== undefined,
      // The folder has our own record in it, so it is never empty: a new stage replaces what was left of it.
      overwrite: before === undefined,
      onStart: (start) => options.onStart?.(name, start),
      onStep: (report) => options.onStep?.(name, report),
      note: (line) => options.note?.(line),
    });
  } catch (error) {
    await writeJson(path, { ...base, status: "failed", seconds: seconds() }).catch(() => {});
    throw error;
  } finally {
    await place.closeRewards();
  }
  const { model, metrics, steps, reason, best, data, rewardModel, members } = result;
  const record: StageRecord = {
    ...base,
    status: reason === "stopped" ? "stopped" : "done",
    seconds: seconds(),
    steps,
    ...(model && {
      model: {
        ...base.model,
        family: model.config.family,
        parameters: parameterCount(model) * (members ?? 1),
      },
    }),
    data,
    metrics,
    ...(best && { best }),
    ...(rewardModel && { reward_model: rewardModel }),
  };
  await writeJson(path, record);
  if (record.status === "done" && model && members === undefined) place.keep(name, model);
  return record;
}

/** The model card of a stage that has just been trained. */
async function writeCard(
  { name, trainer, keys }: RecipeStage,
  record: StageRecord,
  {
    place,
    options: { command, version },
    evaluation,
  }: { place: Place; options: RunRecipeOptions; evaluation: Evaluation | undefined },
): Promise<void> {
  const kind = stageKinds[trainer] as StageKind;
  const trained = { ...record, model: await place.model(name) };
  await writeStageCard(stageDir(place.dir, name), {
    name,
    kind,
    keys,
    trained,
    evaluation,
    command,
    version,
  });
}

const parameterCount = ({ parameters }: Model): number =>
  Object.values(flatten<{ data: { length: number } }>(parameters as never)).reduce(
    (n, { data }) => n + data.length,
    0,
  );
