/** Where a recipe's names lead: stages to their models and pairs, `world:` names to files, the rest to itself. */
import { join } from "node:path";
import type { DataInput } from "../data/dataset.ts";
import { weighted } from "../data/input.ts";
import type { Engine } from "../graph/index.ts";
import { loadModel, type Model } from "../models/load.ts";
import type { OpenedReward } from "../reward/reward.ts";
import type { Recipe } from "./recipe.ts";
import { rewardOf } from "./rewards.ts";
import { stageDir } from "./run-files.ts";
import { stageKinds } from "./stages/index.ts";
import { worldFile } from "./world.ts";

export interface Place {
  readonly dir: string;
  readonly engine: Engine;
  data(reference: string | readonly string[]): DataInput;
  folder(reference: string): string;
  model(reference: string): Promise<Model>;
  /** Keeps a stage's model at hand instead of reading it again. */
  keep(stage: string, model: Model): void;
  reward(specification: unknown, policy?: Model): Promise<OpenedReward>;
  /** Closes the rewards that were opened since the last time. */
  closeRewards(): Promise<void>;
}

export function createPlace(
  dir: string,
  recipe: Recipe,
  {
    engine,
    signal,
    note,
  }: { engine: Engine; signal: AbortSignal; note?: ((line: string) => void) | undefined },
): Place {
  const stageOf = (name: string) => recipe.stages.find((stage) => stage.name === name);
  const isStage = (name: string) => stageOf(name) !== undefined;
  const models = new Map<string, Model>();
  let opened: OpenedReward[] = [];
  return {
    dir,
    engine,
    data: (reference) =>
      [reference].flat().map((name) => {
        const { path, ...weight } = weighted(name);
        const stage = stageOf(path);
        const rows = stage
          ? join(stageDir(dir, path), stageKinds[stage.trainer]?.rows ?? "pairs.jsonl")
          : path;
        return { path: worldFile(join(dir, "data"), path, recipe) ?? rows, ...weight };
      }),
    folder: (reference) => (isStage(reference) ? stageDir(dir, reference) : reference),
    async model(reference) {
      if (!isStage(reference)) return loadModel(reference, { signal });
      const model = models.get(reference) ?? (await loadModel(stageDir(dir, reference), { signal }));
      models.set(reference, model);
      return model;
    },
    keep: (stage, model) => models.set(stage, model),
    async reward(specification, policy) {
      const reward = await rewardOf(specification, {
        recipe,
        engine,
        stageDir: (name) => stageDir(dir, name),
        policy,
        onWarning: note,
      });
      opened.push(reward);
      return reward;
    },
    async closeRewards() {
      for (const reward of opened) await reward.dispose();
      opened = [];
    },
  };
}
