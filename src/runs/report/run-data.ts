/** Reads what a run left in its folder (Node): the recipe's run with its stages, or the folder of a single trainer. */
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { z } from "zod";
import { RunError } from "../errors.ts";
import {
  type Evaluation,
  evaluationSchema,
  type MetricsLine,
  metricsSchema,
  type Response,
  type Run,
  responseSchema,
  runSchema,
  type StageFigures,
  sampleSchema,
  stageSchema,
  type TrainingSample,
} from "./schema.ts";

export interface StageData extends StageFigures {
  /** The number of the stage's colour, from 0. */
  readonly colour: number;
  readonly metrics_log: readonly MetricsLine[];
  readonly evaluation?: Evaluation;
  readonly samples: readonly TrainingSample[];
  readonly responses: readonly Response[];
}

export interface RunData {
  readonly run: Run;
  /** recipe.yaml as it stands in the folder. */
  readonly recipe?: string;
  /** Those that have begun, in order. */
  readonly stages: readonly StageData[];
  /** What could not be read and is missing from the report, a phrase each. */
  readonly notes: readonly string[];
}

/**
 * @throws RunError when the folder is not that of a run
 */
export async function readRun(dir: string): Promise<RunData> {
  const notes: string[] = [];
  const run = await readJson(join(dir, "run.json"), runSchema, notes);
  const isThere = async (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    );
  const isStage = run === undefined && (await isThere(join(dir, "metrics.jsonl")));
  if (!run && !isStage)
    throw new RunError(
      `${dir}: the folder of a run is required, with run.json or metrics.jsonl; ` +
        (notes[0] ?? ((await isThere(dir)) ? "there is neither" : "there is no such folder")),
    );
  const name = basename(resolve(dir));
  const folders = run ? run.stages.map((stage) => join(dir, "stages", stage)) : [dir];
  const stages: StageData[] = [];
  for (const [i, folder] of folders.entries())
    if (await isThere(folder)) stages.push(await readStage(folder, i, notes));
  const recipe = await readText(join(dir, "recipe.yaml"));
  return {
    run: run ?? { name, stages: [name] },
    ...(recipe !== undefined && { recipe }),
    stages,
    notes,
  };
}

async function readStage(dir: string, colour: number, notes: string[]): Promise<StageData> {
  const figures = await readJson(join(dir, "stage.json"), stageSchema, notes);
  const evaluation = await readJson(join(dir, "evaluation.json"), evaluationSchema, notes);
  return {
    ...figures,
    name: basename(resolve(dir)),
    colour,
    metrics_log: await readLines(join(dir, "metrics.jsonl"), metricsSchema, notes),
    ...(evaluation && { evaluation }),
    samples: await readLines(join(dir, "samples.jsonl"), sampleSchema, notes),
    responses: await readLines(join(dir, "responses.jsonl"), responseSchema, notes),
  };
}

const readText = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new RunError(`${path}: the file cannot be read: ${error.message}`, { cause: error });
  });

async function readJson<S extends z.ZodType>(
  path: string,
  schema: S,
  notes: string[],
): Promise<z.infer<S> | undefined> {
  const text = await readText(path);
  return text === undefined ? undefined : parse(text, schema, path, notes);
}

/** Lines that do not parse are left out, and counted in one note. */
async function readLines<S extends z.ZodType>(
  path: string,
  schema: S,
  notes: string[],
): Promise<z.infer<S>[]> {
  const lines = ((await readText(path)) ?? "").split("\n").filter((line) => line.trim() !== "");
  const bad: string[] = [];
  const read = lines.map((line, i) => parse(line, schema, `${path}:${i + 1}`, bad));
  if (bad.length > 0) notes.push(`${bad[0]}${bad.length > 1 ? ` (and ${bad.length - 1} more lines)` : ""}`);
  return read.filter((value) => value !== undefined);
}

function parse<S extends z.ZodType>(
  text: string,
  schema: S,
  path: string,
  notes: string[],
): z.infer<S> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    notes.push(`${path} is not JSON, it was cut short or damaged`);
    return undefined;
  }
  return fitted(value, schema, path, notes);
}

/** The value by its schema; an entry that does not fit is left out, and the rest is read. */
function fitted<S extends z.ZodType>(
  value: unknown,
  schema: S,
  path: string,
  notes: string[],
): z.infer<S> | undefined {
  const { data, error } = schema.safeParse(value);
  const issue = error?.issues[0];
  if (!issue) return data;
  const key = String(issue.path[0]);
  notes.push(`${path}: ${issue.path.join(".") || "the value"}: ${issue.message}`);
  if (typeof value !== "object" || value === null || !(key in value)) return undefined;
  return fitted(
    Object.fromEntries(Object.entries(value).filter(([name]) => name !== key)),
    schema,
    path,
    notes,
  );
}
