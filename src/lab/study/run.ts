/**
 * Runs a study: the shared stages, best-of-n of the reference, then each cell, whose models are measured. What is done
 * is kept, so a study can be stopped and gone on with, and its grid can grow.
 */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Engine } from "../../graph/index.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { RecipeError } from "../../recipe/errors.ts";
import type { Recipe } from "../../recipe/recipe.ts";
import { type RunRecipeResult, runRecipe } from "../../recipe/run.ts";
import { stageDir } from "../../recipe/run-files.ts";
import { writeWorld } from "../../recipe/world.ts";
import { listCheckpoints } from "../../runs/checkpoints.ts";
import { lockFolder } from "../../runs/lock.ts";
import { makeFolder } from "../../runs/make-folder.ts";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import type { StudyEvents } from "./events.ts";
import {
  type CellData,
  type CellRecord,
  pathsOf,
  type ReferenceSamples,
  readCell,
  readLines,
  readText,
  recordOf,
  type StudyData,
  studyText,
  writeLines,
} from "./files.ts";
import { type Cell, cellDir, type Grid, gridOf } from "./grid.ts";
import { measureModel, type StudyPoint, type StudyResponse } from "./measure.ts";
import { createMeasuring, type Measuring } from "./measuring.ts";
import { peakMemory, resetPeakMemory } from "./memory.ts";
import { sampleReference } from "./reference.ts";
import type { Study } from "./settings.ts";

export interface StudyOptions extends StudyEvents {
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly command?: string;
  readonly version?: string;
  /** Sample the reference for best-of-n too. */
  readonly bestOfN?: boolean;
}

export interface StudyResult extends StudyData {
  readonly reason: "done" | "stopped";
  readonly seconds: number;
}

/**
 * Runs what of a study is not done yet.
 *
 * @throws RecipeError when the folder holds another study; and whatever a stage throws, finished cells intact
 */
export async function runStudy(study: Study, options: StudyOptions): Promise<StudyResult> {
  const dir = resolve(study.recipe.output_dir);
  const grid = gridOf(study, dir); // before anything is written
  await makeFolder(dir);
  const unlock = await lockFolder(dir);
  try {
    return await runIn(dir, study, grid, options);
  } finally {
    await unlock();
  }
}

const ownNames = ["study.yaml", "shared", "reference.jsonl", "cells", "figures.json", "report.html"];

async function prepare(dir: string, study: Study, { resume, overwrite }: StudyOptions): Promise<void> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith("."));
  const isStudy = names.includes("study.yaml");
  if (names.length > 0 && !resume) {
    if (!overwrite || !isStudy)
      throw new RecipeError(
        `${dir}: the folder is not empty; choose another with --output_dir` +
          (isStudy ? ", go on with --resume, or replace the study with --overwrite" : ""),
      );
    for (const name of ownNames) await rm(join(dir, name), { recursive: true, force: true });
  }
  await writeWhole(join(dir, "study.yaml"), studyText(study));
}

async function runIn(dir: string, study: Study, grid: Grid, options: StudyOptions): Promise<StudyResult> {
  const started = performance.now();
  const signal = options.signal ?? new AbortController().signal;
  await prepare(dir, study, options);
  await runShared(grid.shared, options);
  const measuring = createMeasuring(study, grid, { engine: options.engine, signal });
  const reference = signal.aborted ? [] : await referenceSamples(dir, { study, measuring, options, signal });
  const cells: CellData[] = [];
  for (const [index, cell] of grid.cells.entries()) {
    if (signal.aborted) break;
    const known = await readCell(cellDir(dir, cell.name));
    options.onCell?.(cell, { index, of: grid.cells.length, done: known !== undefined });
    const data = known ?? (await runCell(cell, { study, measuring, options, signal }));
    if (data) cells.push(data);
  }
  return {
    dir,
    study,
    reference,
    cells,
    reason: signal.aborted ? "stopped" : "done",
    seconds: (performance.now() - started) / 1000,
  };
}

/** Stages that run once; a study of given models has none, but may have the world's data. */
async function runShared(shared: Recipe, options: StudyOptions): Promise<void> {
  const { note } = options;
  if (shared.stages.length === 0) return writeWorld(join(shared.output_dir, "data"), shared, note);
  await runOne(shared, "shared", options);
}

/** Runs a recipe, or goes on with it. */
async function runOne(recipe: Recipe, label: string, options: StudyOptions): Promise<RunRecipeResult> {
  const { engine, signal, command, version, onStage, onStart, onStep, note } = options;
  const text = await readText(join(recipe.output_dir, "recipe.yaml"));
  return runRecipe(recipe, {
    engine,
    resume: text !== undefined,
    ...(signal && { signal }),
    ...(command !== undefined && { command }),
    ...(version !== undefined && { version }),
    onStage: ({ name, trainer, done }) => {
      if (!done) onStage?.(`${label}: ${name}`, trainer);
    },
    onStart: (_, start) => onStart?.(start),
    onStep: (_, report) => onStep?.(report),
    ...(note && { note }),
  });
}

interface Parts {
  readonly study: Study;
  readonly measuring: Measuring;
  readonly options: StudyOptions;
  readonly signal: AbortSignal;
}

/** Samples of the model that all cells start from; none where they start from different ones. */
async function referenceSamples(dir: string, parts: Parts): Promise<readonly ReferenceSamples[]> {
  const { study, measuring, options } = parts;
  const name = measuring.referenceOf(undefined);
  if (name === undefined) return [];
  const samples = study.settings.best_of_n ?? (options.bestOfN ? 64 : (study.settings.samples ?? 2));
  const model = await measuring.model(name);
  return sampleReference(join(dir, "reference.jsonl"), model, { ...parts, samples });
}

/** Trains a cell and measures its models; undefined when it was stopped. */
async function runCell(cell: Cell, parts: Parts): Promise<CellData | undefined> {
  const { study, options, signal } = parts;
  const dir = cell.recipe.output_dir;
  await resetPeakMemory();
  const result = await runOne(cell.recipe, cell.name, options);
  const memory = await peakMemory();
  if (result.reason === "stopped") return undefined;
  const found = await measureCell(cell, parts, result);
  if (signal.aborted) return undefined;
  const { points, responses, models, steps } = found;
  const peak = points
    .filter((point) => point.gold)
    .reduce<StudyPoint | undefined>(
      (best, point) =>
        best === undefined || (point.gold?.mean ?? 0) > (best.gold?.mean ?? 0) ? point : best,
      undefined,
    );
  const record: CellRecord = {
    ...recordOf(cell),
    seconds: result.stages.reduce((total, { seconds }) => total + seconds, 0),
    ...(memory !== undefined && { peak_memory_bytes: memory }),
    steps,
    ...(peak && { gold_peak: { step: peak.step, model: models.get(peak.step) as string } }),
  };
  await writeJson(pathsOf(dir).cell, record);
  if (!study.settings.keep_checkpoints)
    for (const [step, model] of models)
      if (step !== peak?.step && step !== steps)
        await rm(join(model, ".."), { recursive: true, force: true });
  return { ...record, points, responses };
}

interface MeasuredCell {
  readonly points: StudyPoint[];
  readonly responses: (StudyResponse & { step: number })[];
  /** Folders of the models, by step. */
  readonly models: ReadonlyMap<number, string>;
  readonly steps: number;
}

/** The snapshots that were not measured yet, the final model last. */
async function measureCell(cell: Cell, parts: Parts, { stages }: RunRecipeResult): Promise<MeasuredCell> {
  const { study, measuring, options, signal } = parts;
  const dir = cell.recipe.output_dir;
  const target = stageDir(dir, cell.target);
  const steps = stages.find(({ name }) => name === cell.target)?.steps ?? 0;
  const checkpoints = study.settings.snapshots === undefined ? [] : await listCheckpoints(target);
  const models = new Map([
    ...checkpoints
      .filter(({ step }) => step < steps)
      .map(({ step, dir: at }) => [step, join(at, "model")] as const),
    [steps, join(target, "model")] as const,
  ]);
  const paths = pathsOf(dir);
  const points = await readLines<StudyPoint>(paths.points);
  const done = new Set(points.map(({ step }) => step));
  const responses = (await readLines<StudyResponse & { step: number }>(paths.responses)).filter(({ step }) =>
    done.has(step),
  );
  const name = measuring.referenceOf(cell);
  const reference = name === undefined ? undefined : await measuring.model(name, cell);
  for (const [step, path] of models) {
    if (done.has(step) || signal.aborted) continue;
    const model: Model = await loadModel(path, { signal });
    const specifications = { proxy: measuring.proxyOf(cell), gold: measuring.gold };
    const measured = await measuring.withRewards(specifications, cell, model, async (rewards) =>
      measureModel(model, {
        ...(await measuring.options(model, `${cell.name} ${step}`)),
        ...rewards,
        step,
        reference,
      }),
    );
    if (signal.aborted) break;
    points.push(measured.point);
    responses.push(...measured.responses.map((row) => ({ step, ...row })));
    await writeLines(paths.responses, responses);
    await writeLines(paths.points, points);
    options.onPoint?.(cell.name, measured.point);
  }
  return { points, responses, models, steps };
}
