/** Rewards of a recipe: an earlier stage, or whatever `openReward` understands; and the axes of the world's scorer. */
import { goldScore } from "../data/world/gold.ts";
import type { Engine } from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import { openReward } from "../reward/node-open.ts";
import type { OpenedReward, RewardInput } from "../reward/reward.ts";
import { ensembleOfText } from "../reward/spec.ts";
import type { Recipe } from "./recipe.ts";

/** Scores by axis; `overall` is there unless nothing is scored. */
export type AxisScores = Readonly<Record<string, readonly number[]>>;

const gold = "world:gold";

/** Scores by axis, for rewards that have axes. */
export function axesOf(specification: unknown): ((batch: readonly RewardInput[]) => AxisScores) | undefined {
  if (specification !== gold) return undefined;
  return (batch) => {
    const scores = batch.map(({ prompt, completion }) => goldScore(prompt, completion));
    const axes = ["overall", "helpful", "harmless", "honest"] as const;
    return Object.fromEntries(axes.map((axis) => [axis, scores.map((score) => score[axis])]));
  };
}

export interface RewardPlace {
  readonly engine: Engine;
  readonly policy?: Model | undefined;
  /** The folder of an earlier stage. */
  readonly stageDir?: ((name: string) => string) | undefined;
  readonly recipe?: Recipe | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** Opens a reward; the name of a stage may stand wherever a specification names a reward. */
export function rewardOf(specification: unknown, place: RewardPlace): Promise<OpenedReward> {
  const { engine, policy, onWarning } = place;
  return openReward(resolved(specification, place) as never, {
    engine,
    ...(onWarning && { onWarning }),
    ...(policy?.tokenizer && { tokenizer: policy.tokenizer }),
  });
}

/** A part of a sum on the command line: its weight, and the rest. */
const weighted = /^\s*([^*]+)\*\s*(.*)$/;

/** The specification with folders in place of stages' names. */
function resolved(specification: unknown, place: RewardPlace): unknown {
  if (typeof specification === "string") {
    const part = weighted.exec(specification);
    if (part && !Number.isNaN(Number(part[1])))
      return { weight: Number(part[1]), reward: resolved(part[2], place) };
    const several = ensembleOfText(specification);
    if (several) return resolved(several, place);
    const isStage = place.recipe?.stages.some(({ name }) => name === specification);
    return isStage && place.stageDir ? { model: place.stageDir(specification) } : specification;
  }
  if (Array.isArray(specification)) return specification.map((part) => resolved(part, place));
  if (typeof specification !== "object" || specification === null) return specification;
  const { reward, model, ensemble } = specification as Record<string, unknown>;
  if (reward !== undefined) return { ...specification, reward: resolved(reward, place) };
  if (ensemble !== undefined) return { ...specification, ensemble: resolved(ensemble, place) };
  const found = typeof model === "string" ? resolved(model, place) : undefined;
  return typeof found === "object" ? { ...specification, ...found } : specification;
}
