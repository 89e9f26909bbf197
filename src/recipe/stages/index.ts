/** The kinds of stages, by the value of `trainer`: a row each. */
import type { StageKind } from "../stage.ts";
import { dpoStage } from "./dpo.ts";
import { pairsStage } from "./pairs.ts";
import { ppoStage } from "./ppo.ts";
import { pretrainStage } from "./pretrain.ts";
import { rewardStage } from "./reward.ts";
import { sftStage } from "./sft.ts";

export const stageKinds: Readonly<Record<string, StageKind>> = Object.fromEntries(
  [pretrainStage, sftStage, rewardStage, pairsStage, ppoStage, dpoStage].map((kind) => [kind.name, kind]),
);
