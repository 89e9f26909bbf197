/** The stages `kto` and `bco`: completions that are desirable or not, each on its own. */
import { z } from "zod";
import { labelPreflight } from "../../../data/preflight.ts";
import { bco, bcoDefaults } from "../../../train/bco.ts";
import { kto, ktoDefaults, ktoLossNames } from "../../../train/kto.ts";
import type { FitResult } from "../../../train/loop/fit.ts";
import type { LabelHooks, LabelStart, LabelTrainerOptions } from "../../../train/preference/label-data.ts";
import { choice, fromZero, positive } from "../../keys.ts";
import {
  type StageContext,
  type StageKeys,
  type StageKind,
  type StageResult,
  stageKind,
} from "../../stage.ts";
import { trainingHooks, trainingOptions } from "../../training.ts";
import { nextOf, preferenceKeys, refModelKey } from "./keys.ts";

type LabelTrainer = (options: LabelTrainerOptions, hooks: LabelHooks) => Promise<FitResult>;

const runLabels =
  (train: LabelTrainer) =>
  async ({ ref_model, ...keys }: StageKeys, context: StageContext): Promise<StageResult> => {
    let data = { rows: 0, skipped: 0 };
    const result = await train(
      {
        ...trainingOptions(keys, context),
        model: await context.model(keys.model as string),
        ...(ref_model !== undefined && { refModel: await context.model(ref_model as string) }),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data as string) }),
      },
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: LabelStart) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        const preflight = labelPreflight(train, tokenizer);
        return { preflight, ...(held && { heldOut: held.rows }), totalSteps, step, tokens };
      }),
    );
    return { ...result, data };
  };

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
    ...refModelKey,
    loss_type: choice(ktoLossNames as unknown as [string], "the loss", { default: ktoDefaults.lossType }),
    beta: betaKey(ktoDefaults.beta),
    ...weightKeys,
    ...preferenceKeys.after(ktoDefaults),
  }),
  ...common,
  run: runLabels(kto),
});

export const bcoStage = stageKind({
  name: "bco",
  description: "improve a model by classifying completions as desirable or not (BCO)",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKey,
    beta: betaKey(bcoDefaults.beta),
    ...weightKeys,
    ...preferenceKeys.after(bcoDefaults),
  }),
  ...common,
  run: runLabels(bco),
});
