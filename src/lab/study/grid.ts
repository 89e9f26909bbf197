/**
 * From a study to what runs: the recipe of the stages that are shared, and a recipe for each cell, in which shared
 * stages and the world's data are paths. Everything is checked before anything runs.
 */
import { join } from "node:path";
import { RecipeError } from "../../recipe/errors.ts";
import { parseOverrides, withOverrides } from "../../recipe/overrides.ts";
import { checkRecipe, type Recipe, type RecipeStage, recipeData } from "../../recipe/recipe.ts";
import { referencesOf, renamedKeys } from "../../recipe/references.ts";
import { stageDir } from "../../recipe/run-files.ts";
import type { StageKind } from "../../recipe/stage.ts";
import { stageKinds } from "../../recipe/stages/index.ts";
import { worldFile } from "../../recipe/world.ts";
import { type Study, valuesOf } from "./settings.ts";

export interface Cell {
  /** Of its folder. */
  readonly name: string;
  /** What it shares with the cells of other seeds. */
  readonly group: string;
  /** The stage that is measured, and its trainer. */
  readonly target: string;
  readonly trainer: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** The name of its proxy, where there are several. */
  readonly proxy?: string;
  readonly seed: number;
  readonly recipe: Recipe;
}

export interface Grid {
  /** The stages that run once; none when every stage varies. */
  readonly shared: Recipe;
  readonly cells: readonly Cell[];
}

type Fields = Readonly<Record<string, unknown>>;

export const sharedDir = (dir: string): string => join(dir, "shared");
export const cellDir = (dir: string, cell: string): string => join(dir, "cells", cell);

/**
 * The grid of a study whose folder is `dir`.
 *
 * @throws RecipeError for a field that names no stage, or a cell whose recipe is not sound
 */
export function gridOf({ recipe, settings }: Study, dir: string): Grid {
  const arms = armsOf({ recipe, settings });
  const stagesOfArm = arms.map((fields) => affectedBy(recipe, Object.keys(fields)));
  const targets = arms.map((_, i) => targetOf(recipe, stagesOfArm[i] as ReadonlySet<string>, settings.stage));
  const { proxies } = settings;
  const named: readonly (string | undefined)[] = proxies ? Object.keys(proxies) : [undefined];
  const seeds = settings.seeds ?? [1, 2, 3];
  const varied = new Set(stagesOfArm.flatMap((names) => [...names]));
  const needed = new Set<string>();
  for (const { name } of [...recipe.stages].reverse())
    if (!varied.has(name) && isNeeded(name)) needed.add(name);
  const sharedStages = recipe.stages.filter(({ name }) => needed.has(name));
  const shared: Recipe = { ...withoutMeasures(recipe), output_dir: sharedDir(dir), stages: sharedStages };
  const cells = arms.flatMap((fields, i) =>
    named.flatMap((proxy) =>
      seeds.map((seed): Cell => {
        const target = targets[i] as RecipeStage;
        const own = neededFor(recipe, target.name, stagesOfArm[i] as ReadonlySet<string>);
        const group = [...(proxy === undefined ? [] : [proxy]), labelOf(target, fields)].join(", ");
        const name = `${folderName(group)}-seed-${seed}`;
        const spec = proxy === undefined ? settings.proxy : proxies?.[proxy];
        const output = cellDir(dir, name);
        const made = cellRecipe(recipe, {
          fields,
          own,
          shared,
          seed,
          output,
          target: target.name,
          proxy: spec,
          settings,
        });
        const { trainer } = target;
        return {
          name,
          group,
          target: target.name,
          trainer,
          fields,
          seed,
          recipe: made,
          ...(proxy !== undefined && { proxy }),
        };
      }),
    ),
  );
  const twice = cells.find(({ name }, i) => cells.findIndex((cell) => cell.name === name) !== i);
  if (twice)
    throw new RecipeError(`study: two cells would be called ${twice.name}; leave values that are alike out`);
  return { shared, cells };

  /** Shared stages that nothing which runs, and no measure, asks for need not run; later stages are known by then. */
  function isNeeded(name: string): boolean {
    const asked = recipe.stages.some(
      (stage) =>
        (varied.has(stage.name) || needed.has(stage.name)) &&
        stage.name !== name &&
        referencesOf(kindOf(stage), stage.keys).some((r) => r.name === name),
    );
    const { model, proxy, proxies, gold } = settings;
    const text = JSON.stringify([model, proxy, proxies, gold, recipe.evaluate?.reward]);
    return asked || new RegExp(`["*:,]${name}["?,]`).test(text);
  }
}

const kindOf = ({ trainer }: RecipeStage): StageKind => stageKinds[trainer] as StageKind;

/** Every combination of `vary`, times one field of `strengths` at a time. */
function armsOf({ settings: { vary = {}, strengths } }: Study): Fields[] {
  let arms: Fields[] = [{}];
  for (const [path, values] of Object.entries(vary))
    arms = arms.flatMap((fields) => valuesOf(values).map((value) => ({ ...fields, [path]: value })));
  if (!strengths) return Object.keys(vary).length > 0 ? arms : [];
  return Object.entries(strengths).flatMap(([path, values]) =>
    valuesOf(values).flatMap((value) => arms.map((fields) => ({ ...fields, [path]: value }))),
  );
}

/** Sections of `world` that hold for more than the file of their own name. */
const comparisons = ["preferences", "rankings", "ratings"];
const worldFilesOf: Readonly<Record<string, readonly string[]>> = {
  noise: comparisons,
  ties: comparisons,
  margins: comparisons,
};

/** The stages that fields change, and all that are built on them. */
export function affectedBy(recipe: Recipe, paths: readonly string[]): ReadonlySet<string> {
  const out = new Set<string>();
  const names = recipe.stages.map(({ name }) => name);
  for (const path of paths) {
    const [first = "", key = ""] = path.split(".");
    if (first === "world") {
      const files = worldFilesOf[key] ?? (key === "seed" || key === "held_out" ? [""] : [key]);
      for (const stage of recipe.stages)
        if (
          referencesOf(kindOf(stage), stage.keys).some(({ name }) =>
            files.some((file) => name.startsWith(`world:${file}`)),
          )
        )
          out.add(stage.name);
    } else if (names.includes(first) && key !== "") out.add(first);
    else
      throw new RecipeError(
        `study: ${path}: a field of a stage is required, as in ppo.kl_coef; the stages are ${names.join(", ")}`,
      );
  }
  for (const stage of recipe.stages)
    if (referencesOf(kindOf(stage), stage.keys).some(({ name }) => out.has(name))) out.add(stage.name);
  return out;
}

function targetOf(recipe: Recipe, affected: ReadonlySet<string>, asked: string | undefined): RecipeStage {
  const found = recipe.stages.filter(
    (stage) => affected.has(stage.name) && kindOf(stage).answers && (asked ?? stage.name) === stage.name,
  );
  const last = found.at(-1);
  if (last) return last;
  throw new RecipeError(
    asked === undefined
      ? "study: a field that changes a stage which answers prompts is required, such as ppo.kl_coef"
      : `study: stage: ${asked} is not a stage that answers and that the fields change`,
  );
}

/** The varied stages that the target is built on, itself included. */
function neededFor(recipe: Recipe, target: string, affected: ReadonlySet<string>): ReadonlySet<string> {
  const out = new Set([target]);
  for (const stage of [...recipe.stages].reverse())
    if (out.has(stage.name))
      for (const { name } of referencesOf(kindOf(stage), stage.keys)) if (affected.has(name)) out.add(name);
  return out;
}

interface CellParts {
  readonly fields: Fields;
  readonly own: ReadonlySet<string>;
  readonly shared: Recipe;
  readonly seed: number;
  readonly output: string;
  readonly target: string;
  readonly proxy: unknown;
  readonly settings: Study["settings"];
}

function cellRecipe(recipe: Recipe, parts: CellParts): Recipe {
  const { fields, own, shared, seed, output, target, proxy, settings } = parts;
  const overrides = Object.entries(fields).map(([path, value]) => ({
    path: path.split("."),
    value,
    flag: path,
  }));
  const data = withOverrides(recipeData(recipe), overrides) as {
    stages: Record<string, Fields>;
    world?: Fields;
  };
  const hasWorld = Object.keys(fields).some((path) => path.startsWith("world."));
  const place = (name: string) => placeOf(name, { shared, own, hasWorld });
  const stages = Object.fromEntries(
    Object.entries(data.stages)
      .filter(([name]) => own.has(name))
      .map(([name, keys]) => {
        const kind = stageKinds[keys.trainer as string] as StageKind;
        const given =
          name === target && proxy !== undefined && "reward" in kind.keys.shape
            ? { ...keys, reward: proxy }
            : keys;
        return [
          name,
          withSnapshots(
            renamedKeys(given, kind, (name, which) => place(name)?.[which]),
            name === target ? settings.snapshots : undefined,
          ),
        ];
      }),
  );
  return checkRecipe(
    {
      name: output.split("/").at(-1) as string,
      seed,
      output_dir: output,
      ...(hasWorld && { world: { ...data.world, seed: data.world?.seed ?? recipe.seed } }),
      stages,
    },
    "study",
  );
}

/** Checkpoints along a run: as often as they are measured, and none of them dropped. */
function withSnapshots(keys: Fields, snapshots: number | undefined): Fields {
  if (snapshots === undefined) return keys;
  const { max_steps: steps, save_steps: asked } = keys as { max_steps?: number; save_steps?: number };
  const save = asked ?? (steps === undefined ? undefined : Math.max(1, Math.ceil(steps / snapshots)));
  return { ...keys, ...(save !== undefined && { save_steps: save }), save_total_limit: 1_000_000 };
}

/** Where a name leads from within a cell; undefined leaves it as it is. */
function placeOf(
  name: string,
  { shared, own, hasWorld }: { shared: Recipe; own: ReadonlySet<string>; hasWorld: boolean },
): { model: string; data: string } | undefined {
  // world:gold is a reward, no file
  const file =
    hasWorld || name === "world:gold" ? undefined : worldFile(join(shared.output_dir, "data"), name, shared);
  if (file) return { model: file, data: file };
  if (own.has(name) || !shared.stages.some((stage) => stage.name === name)) return undefined;
  const dir = stageDir(shared.output_dir, name);
  return { model: dir, data: join(dir, "pairs.jsonl") };
}

/** A specification with paths in place of shared stages and the world's files, for measuring. */
export function placedIn(value: unknown, which: "model" | "data", shared: Recipe): unknown {
  const key = which === "model" ? "reward" : "data";
  const place = (name: string) => placeOf(name, { shared, own: new Set(), hasWorld: false })?.[which];
  return renamedKeys({ [key]: value }, { models: ["reward"] }, place)[key];
}

const withoutMeasures = ({ evaluate: _, max_minutes: __, ...rest }: Recipe): Recipe => rest;

const shortText = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
};

/** "ppo kl_coef 0.05". */
const labelOf = ({ name }: RecipeStage, fields: Fields): string =>
  [
    name,
    ...Object.entries(fields).map(([path, value]) => {
      const [stage, ...rest] = path.split(".");
      return `${stage === name ? rest.join(".") : path} ${shortText(value)}`;
    }),
  ].join(" ");

const folderName = (label: string): string =>
  label
    .replace(/[^\w.+-]+/g, "-")
    .replace(/^[-.]+|-+$/g, "")
    .slice(0, 100);

/** `--vary ppo.kl_coef=0,0.1`: a field and its values, each read as YAML reads it. */
export function parseValues(text: string): readonly [path: string, values: readonly unknown[]] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1)
    throw new RecipeError(`${text}: a field and its values are required, as in ppo.kl_coef=0,0.1`);
  const [override] = parseOverrides([`--${text.slice(0, at)}=[${text.slice(at + 1)}]`]);
  const { path, value } = override as { path: readonly string[]; value: unknown };
  return [path.join("."), valuesOf(value)];
}
