/**
 * The folder of a study (Node):
 *
 *     study.yaml                      the recipe and its section `study`, as resolved
 *     shared/                         the run of the shared stages
 *     reference.jsonl                 samples of the model that the KL is measured from, with their scores
 *     cells/NAME/                     a run each, with cell.json, points.jsonl and responses.jsonl
 *     figures.json, report.html       what came out
 *
 * A point is there when its line is; its responses are written before it.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { recipeData } from "../../recipe/recipe.ts";
import { writeWhole } from "../../runs/write-whole.ts";
import type { Cell } from "./grid.ts";
import type { StudyPoint, StudyResponse } from "./measure.ts";
import type { Study } from "./settings.ts";

/** cell.json, written when everything of a cell is measured. */
export interface CellRecord {
  readonly name: string;
  readonly group: string;
  readonly target: string;
  readonly trainer: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly proxy?: string;
  readonly seed: number;
  /** Of the varied stages, measuring left out. */
  readonly seconds: number;
  /** The process's largest resident memory while they ran, where the system tells. */
  readonly peak_memory_bytes?: number;
  readonly steps: number;
  /** The snapshot with the highest gold reward, and where its model is. */
  readonly gold_peak?: { readonly step: number; readonly model: string };
}

export interface CellData extends CellRecord {
  readonly points: readonly StudyPoint[];
  readonly responses: readonly (StudyResponse & { readonly step: number })[];
}

/** A line of reference.jsonl: the samples of one prompt. */
export interface ReferenceSamples {
  readonly prompt: string;
  readonly completions: readonly string[];
  readonly tokens: readonly number[];
  readonly surprisals: readonly number[];
  readonly terminated: readonly boolean[];
  readonly gold?: readonly number[];
  /** By objective, of a study of weights. */
  readonly objectives?: Readonly<Record<string, readonly number[]>>;
  /** By the proxy's name. */
  readonly proxies: Readonly<Record<string, readonly number[]>>;
  /** Standard deviation over the members, of proxies that have some. */
  readonly disagreement?: Readonly<Record<string, readonly number[]>>;
}

/** What a study has found so far. */
export interface StudyData {
  readonly dir: string;
  readonly study: Study;
  readonly reference: readonly ReferenceSamples[];
  readonly cells: readonly CellData[];
}

export const pathsOf = (dir: string) => ({
  points: join(dir, "points.jsonl"),
  responses: join(dir, "responses.jsonl"),
  cell: join(dir, "cell.json"),
});

/** What is there of a cell; undefined until it is done. */
export async function readCell(dir: string): Promise<CellData | undefined> {
  const paths = pathsOf(dir);
  const text = await readText(paths.cell);
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as CellRecord;
  return { ...record, points: await readLines(paths.points), responses: await readLines(paths.responses) };
}

export function studyText({ recipe, settings }: Study): string {
  const { proxies, ...rest } = settings;
  return stringify({ ...recipeData(recipe), study: settings.weights || !proxies ? rest : settings });
}

export const readText = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });

/** JSON lines; a last line that was cut short is left out. */
export async function readLines<T>(path: string): Promise<T[]> {
  const lines = ((await readText(path)) ?? "").split("\n");
  return lines.flatMap((line, i) => {
    if (line === "") return [];
    try {
      return [JSON.parse(line) as T];
    } catch (error) {
      if (i === lines.length - 1) return [];
      throw error;
    }
  });
}

export const writeLines = (path: string, rows: readonly unknown[]): Promise<void> =>
  writeWhole(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

export const recordOf = ({ name, group, target, trainer, fields, proxy, seed }: Cell) => ({
  name,
  group,
  target,
  trainer,
  fields,
  ...(proxy !== undefined && { proxy }),
  seed,
});
