/**
 * Whether the files that a recipe names are there, before anything runs: what is missing would be told only when its stage
 * begins, after the stages before it. Names on the hub are left to the hub, and what lies in the run's own folder to the
 * stages that make it.
 */
import { existsSync } from "node:fs";
import { resolve, sep } from "node:path";
import { weighted } from "../data/input.ts";
import { datasetName } from "../data/node-hub-data.ts";
import { type ParsedReward, parseReward } from "../reward/spec.ts";
import { RecipeError } from "./errors.ts";
import type { Recipe } from "./recipe.ts";
import { dataKeys, namesIn } from "./references.ts";
import { stageKinds } from "./stages/index.ts";
import { worldFile } from "./world.ts";

/** A model's name that no hub has: org/name has one slash, and begins with neither a dot nor a slash. */
const isFolder = (name: string): boolean => /^[./~\\]|^[A-Z]:\\|\/.*\//i.test(name);

/** @throws RecipeError with every file that is missing, and the key that names it */
export function checkFiles(recipe: Recipe): void {
  const own = resolve(recipe.output_dir) + sep;
  const stages = recipe.stages.map(({ name }) => name);
  const isMissing = (path: string) => !resolve(path).startsWith(own) && !existsSync(path);
  const missing: string[] = [];
  const look = (where: string, path: string) => {
    if (isMissing(path)) missing.push(`${where}: ${path}: no such file or folder`);
  };
  const lookForData = (where: string, value: unknown) => {
    for (const name of [value].flat()) {
      const path = typeof name === "string" ? weighted(name).path : undefined;
      if (path === undefined || stages.includes(path)) continue;
      // Throws for what the world does not have.
      if (worldFile(recipe.output_dir, path, recipe) === undefined && datasetName(path) === undefined)
        look(where, path);
    }
  };
  const lookForReward = (where: string, value: unknown) => {
    if (value !== undefined) for (const path of modulesOf(parseReward(value))) look(where, path);
  };
  for (const { name, trainer, keys } of recipe.stages) {
    for (const key of dataKeys) if (keys[key] !== undefined) lookForData(`${name}.${key}`, keys[key]);
    lookForReward(`${name}.reward`, keys.reward);
    for (const key of stageKinds[trainer]?.models ?? [])
      for (const model of key === "reward" || key === "judge" ? [] : namesIn(keys[key]))
        if (!stages.includes(model) && isFolder(model)) look(`${name}.${key}`, model);
  }
  const { prompts, perplexity, reward } = recipe.evaluate ?? {};
  if (prompts !== undefined) lookForData("evaluate.prompts", prompts);
  if (perplexity !== undefined) lookForData("evaluate.perplexity", perplexity);
  lookForReward("evaluate.reward", reward);
  if (missing.length > 0) throw new RecipeError(`${recipe.name}: ${missing.join("; ")}`);
}

/** The modules of a reward and of its parts. */
function modulesOf(parsed: ParsedReward): string[] {
  if (parsed.kind === "module") return [parsed.path];
  if (parsed.kind === "ensemble") return parsed.members.flatMap(modulesOf);
  return parsed.kind === "sum" ? parsed.parts.flatMap(({ reward }) => modulesOf(reward)) : [];
}
