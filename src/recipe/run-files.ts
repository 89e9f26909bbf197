/** The files of a recipe's run beside its stages' own: recipe.yaml, run.json, and each stage's stage.json. */
import { readFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { writeWhole } from "../runs/write-whole.ts";
import { RecipeError } from "./errors.ts";
import { type Recipe, recipeData } from "./recipe.ts";

export interface StageRecord {
  readonly name: string;
  readonly trainer: string;
  readonly status: "running" | "done" | "stopped" | "failed";
  readonly seconds: number;
  readonly steps: number;
  readonly model: { readonly family: string; readonly parameters: number; readonly from: string };
  readonly data: { readonly rows: number; readonly tokens?: number; readonly skipped: number };
  readonly metrics: Readonly<Record<string, number>>;
  readonly best?: { readonly step: number; readonly value: number };
  readonly reward_model?: object;
  /** Where its model was uploaded to. */
  readonly pushed?: string;
}

export interface RunRecord {
  readonly name: string;
  readonly attune: string;
  readonly node: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memory_gib: number };
  readonly seed: number;
  readonly started: string;
  readonly finished?: string;
  readonly seconds: number;
  readonly command: string;
  readonly stages: readonly string[];
}

/** JSON of a file of the run, undefined when there is none. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch {
    return undefined;
  }
  try {
    return JSON.parse(content) as T;
  } catch (cause) {
    throw new RecipeError(
      `${path}: JSON is required: ${(cause as Error).message}; remove the file to run again`,
      {
        cause,
      },
    );
  }
}

export const stageDir = (run: string, stage: string): string => join(run, "stages", stage);

export const writeRecipe = (run: string, recipe: Recipe): Promise<void> =>
  writeWhole(join(run, "recipe.yaml"), stringify(recipeData(recipe)));

/** Who runs what, where. */
export function runRecord(recipe: Recipe, command: string, attune: string): RunRecord {
  return {
    name: recipe.name,
    attune,
    node: process.version,
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memory_gib: Math.round(totalmem() / 2 ** 30),
    },
    seed: recipe.seed,
    started: new Date().toISOString(),
    seconds: 0,
    command,
    stages: recipe.stages.map(({ name }) => name),
  };
}
