/** The kinds of stages, by the value of `trainer`: a row each. */
import { monitored } from "../monitored.ts";
import type { StageKind } from "../stage.ts";
import { labelStage } from "./label.ts";
import { bestOfStage } from "./online/best-of-n.ts";
import { expertIterationStage } from "./online/expert-iteration.ts";
import { grpoStage, reinforceStage, rlooStage } from "./online/groups.ts";
import { multiTurnStage } from "./online/multi-turn.ts";
import { nashMdStage, onlineDpoStage } from "./online/pairwise.ts";
import { trpoStage } from "./online/trpo.ts";
import { pairsStage } from "./pairs.ts";
import { ppoStage } from "./ppo.ts";
import { cpoStage, simpoStage } from "./preference/cpo.ts";
import { dpoStage } from "./preference/dpo.ts";
import { bcoStage, ktoStage } from "./preference/kto.ts";
import { listwiseStage } from "./preference/listwise.ts";
import { orpoStage } from "./preference/orpo.ts";
import { pretrainStage } from "./pretrain.ts";
import { prmStage } from "./prm.ts";
import { rewardStage } from "./reward.ts";
import { sftStage } from "./sft.ts";

export const stageKinds: Readonly<Record<string, StageKind>> = Object.fromEntries(
  [
    pretrainStage,
    sftStage,
    rewardStage,
    prmStage,
    pairsStage,
    labelStage,
    bestOfStage,
    ppoStage,
    reinforceStage,
    rlooStage,
    grpoStage,
    trpoStage,
    expertIterationStage,
    onlineDpoStage,
    nashMdStage,
    multiTurnStage,
    dpoStage,
    cpoStage,
    simpoStage,
    orpoStage,
    ktoStage,
    bcoStage,
    listwiseStage,
  ].map((kind) => [kind.name, monitored(kind)]),
);
