/** What all models of a study are measured with: the same prompts, the proxy of their cell, one gold reward. */
import { createHash } from "node:crypto";
import type { PromptExample } from "../../data/prompts.ts";
import type { Engine } from "../../graph/index.ts";
import { permutation } from "../../graph/random.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { RecipeError } from "../../recipe/errors.ts";
import { promptsOf } from "../../recipe/prompts.ts";
import type { Recipe, RecipeStage } from "../../recipe/recipe.ts";
import { axesOf, rewardOf } from "../../recipe/rewards.ts";
import { stageDir } from "../../recipe/run-files.ts";
import type { OpenedReward } from "../../reward/reward.ts";
import { type Cell, type Grid, placedIn } from "./grid.ts";
import type { MeasureOptions } from "./measure.ts";
import type { Study } from "./settings.ts";

export interface Measuring {
  /** The proxies of the reference's samples, by name. */
  readonly proxies: Readonly<Record<string, unknown>>;
  readonly gold: unknown;
  /** The model that the KL is measured from, by path or by a stage of the cell; undefined where there is none. */
  referenceOf(cell: Cell | undefined): string | undefined;
  proxyOf(cell: Cell): unknown;
  model(reference: string, cell?: Cell): Promise<Model>;
  /** Everything but the rewards and the step. */
  options(model: Model, name: string): Promise<Omit<MeasureOptions, "step">>;
  /** Opens rewards by name, and closes them when the work is done. */
  withRewards<T>(
    specifications: Readonly<Record<string, unknown>>,
    cell: Cell | undefined,
    policy: Model,
    work: (opened: Readonly<Record<string, OpenedReward | undefined>>) => Promise<T>,
  ): Promise<T>;
}

export interface MeasuringOptions {
  readonly engine: Engine;
  readonly signal: AbortSignal;
}

const targetOf = ({ recipe, target }: Cell): RecipeStage =>
  recipe.stages.find(({ name }) => name === target) as RecipeStage;

const owns = ({ recipe }: Cell, name: unknown): boolean => recipe.stages.some((stage) => stage.name === name);

/** A seed from a name. */
export const seedOf = (...parts: readonly (string | number)[]): number =>
  createHash("sha256").update(parts.join("\n")).digest().readUInt32BE(0) & 0x7fffffff;

export function createMeasuring(
  { recipe, settings }: Study,
  { shared, cells }: Grid,
  { engine, signal }: MeasuringOptions,
): Measuring {
  const { evaluate = {} } = recipe;
  const { maxNewTokens, temperature } = drawing({ recipe, settings });
  const models = new Map<string, Promise<Model>>();
  const load = (path: string): Promise<Model> => {
    const known = models.get(path) ?? loadModel(path, { signal });
    models.set(path, known);
    return known;
  };
  const rewardKey = (cell: Cell) => targetOf(cell).keys.reward;
  const common = cells.map(rewardKey).find((reward) => reward !== undefined);
  const single = settings.proxy ?? common;
  const isOwn = cells.some((cell) => owns(cell, single));
  return {
    proxies: settings.proxies ?? (single === undefined || isOwn ? {} : { proxy: single }),
    gold: settings.gold ?? evaluate.reward,
    referenceOf(cell) {
      if (settings.model !== undefined) return placedIn(settings.model, "model", shared) as string;
      if (cell === undefined) {
        const names = new Set(cells.map((each) => this.referenceOf(each)));
        const [only] = names;
        return names.size === 1 && cells.every((each) => !owns(each, only)) ? only : undefined;
      }
      const { ref_model, model } = targetOf(cell).keys as { ref_model?: string; model?: string };
      return ref_model ?? model;
    },
    proxyOf: (cell) =>
      cell.proxy === undefined
        ? (settings.proxy ?? rewardKey(cell) ?? common)
        : settings.proxies?.[cell.proxy],
    model: (reference, cell) =>
      cell && owns(cell, reference)
        ? load(stageDir(cell.recipe.output_dir, reference))
        : load(placedIn(reference, "model", shared) as string),
    async options(model, name) {
      const prompts = await promptsFor(model);
      return {
        engine,
        prompts,
        maxNewTokens,
        temperature,
        samples: settings.samples ?? 2,
        seed: seedOf(recipe.seed, name),
        signal,
        ...(settings.weights && {
          objectives: {
            names: settings.weights.objectives,
            axes: axesOf(settings.gold ?? evaluate.reward),
          },
        }),
      };
    },
    async withRewards(specifications, cell, policy, work) {
      const opened: Record<string, OpenedReward | undefined> = {};
      try {
        for (const [name, specification] of Object.entries(specifications))
          if (specification !== undefined)
            opened[name] = await rewardOf(placedIn(specification, "model", shared), {
              engine,
              policy,
              ...(cell && {
                recipe: cell.recipe,
                stageDir: (stage: string) => stageDir(cell.recipe.output_dir, stage),
              }),
            });
        return await work(opened);
      } finally {
        for (const reward of Object.values(opened)) await reward?.dispose();
      }
    },
  };

  /** The same prompts for every model: a draw by the recipe's seed. */
  async function promptsFor(model: Model): Promise<PromptExample[]> {
    const reference = settings.prompts ?? evaluate.prompts;
    if (reference === undefined)
      throw new RecipeError("study: prompts are required: give study.prompts, evaluate.prompts or --prompts");
    const data = [placedIn(reference, "data", shared) as string | string[]].flat();
    const { prompts } = await promptsOf(model, data, maxNewTokens, evaluate);
    const order = [...permutation(prompts.length, recipe.seed, 7)].slice(0, settings.num_prompts ?? 128);
    return order.sort((a, b) => a - b).map((i) => prompts.at(i) as PromptExample);
  }
}

/** How answers are drawn. */
export const drawing = ({
  recipe: { evaluate = {} },
  settings,
}: {
  recipe: Recipe;
  settings: Study["settings"];
}) => ({
  maxNewTokens: settings.max_new_tokens ?? evaluate.max_new_tokens ?? 64,
  temperature: settings.temperature ?? (evaluate.temperature || 1),
});
