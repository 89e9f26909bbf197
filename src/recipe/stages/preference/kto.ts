/** The stages `kto` and `bco`: completions that are desirable or not, each on its own. */
import { z } from "zod";
import { labelPreflight } from "../../../data/preflight.ts";
import { bco, bcoDefaults } from "../../../train/bco.ts";
import { kto, ktoDefaults, ktoLossNames } from "../../../train/kto.ts";
import { choice, fromZero, positive, refModelKeys } from "../../keys.ts";
import { type StageKind, stageKind } from "../../stage.ts";
import { nextOf, preferenceKeys } from "./keys.ts";
import { runOnData } from "./run-on-data.ts";

const common = {
  required: ["model", "data"],
  models: ["model", "ref_model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/margins", "rewards/chosen", "eval_loss"],
  next: nextOf,
} satisfies Partial<StageKind>;

const weightKeys = {
  desirable_weight: fromZero("weight of a desirable completion", { default: 1 }),
  undesirable_weight: fromZero("weight of one that is not", { default: 1 }),
};
const betaKey = (value: number) => positive("strength of the pull towards the reference", { default: value });

export const ktoStage = stageKind({
  name: "kto",
  description: "improve a model by completions that are desirable or not, each on its own (KTO)",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKeys,
    loss_type: choice(ktoLossNames as unknown as [string], "the loss", { default: ktoDefaults.lossType }),
    beta: betaKey(ktoDefaults.beta),
    ...weightKeys,
    ...preferenceKeys.after(ktoDefaults),
  }),
  ...common,
  run: runOnData(kto, labelPreflight),
});

export const bcoStage = stageKind({
  name: "bco",
  description: "improve a model by classifying completions as desirable or not (BCO)",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKeys,
    beta: betaKey(bcoDefaults.beta),
    ...weightKeys,
    ...preferenceKeys.after(bcoDefaults),
  }),
  ...common,
  run: runOnData(bco, labelPreflight),
});
