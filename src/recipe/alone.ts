/** One stage without a recipe: what the command of its trainer runs. */
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Engine } from "../graph/index.ts";
import { loadModel } from "../models/load.ts";
import type { OpenedReward } from "../reward/reward.ts";
import { makeFolder } from "../runs/make-folder.ts";
import { RecipeError } from "./errors.ts";
import { rewardOf } from "./rewards.ts";
import type { StageContext, StageKeys, StageKind, StageResult } from "./stage.ts";
import { writeStageCard } from "./stage-card.ts";

export type AloneOptions = Pick<
  StageContext,
  "dir" | "signal" | "resume" | "overwrite" | "onStart" | "onStep" | "note"
> & { readonly engine: Engine };

/** A stage that makes rows has no run folder: its own is made here, and its rows are not replaced unasked. */
async function placeForRows({ rows = "pairs.jsonl" }: StageKind, { dir, overwrite }: AloneOptions) {
  await makeFolder(dir);
  const path = join(dir, rows);
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere && !overwrite)
    throw new RecipeError(`${path} is there already; choose another folder, or --overwrite replaces it`);
}

/** Runs a stage in a folder of its own; rewards that it opens are closed at the end. */
export async function runStageAlone(
  kind: StageKind,
  keys: StageKeys,
  options: AloneOptions,
): Promise<StageResult> {
  const { engine, signal } = options;
  const opened: OpenedReward[] = [];
  if (!kind.leavesModel) await placeForRows(kind, options);
  try {
    const result = await kind.run(keys, {
      ...options,
      name: kind.name,
      seed: 42,
      model: (name) => loadModel(name, { signal }),
      data: (names) => [names].flat(),
      folder: (name) => name,
      reward: async (specification, policy) => {
        const reward = await rewardOf(specification, { engine, policy, onWarning: options.note });
        opened.push(reward);
        return reward;
      },
    });
    const { model } = result;
    if (result.reason !== "stopped" && kind.leavesModel && model && result.members === undefined)
      await writeStageCard(options.dir, {
        name: basename(options.dir),
        kind,
        keys,
        trained: { ...result, model },
      });
    return result;
  } finally {
    for (const reward of opened) await reward.dispose();
  }
}
