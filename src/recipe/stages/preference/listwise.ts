/** The stage `listwise`: direct preference optimisation on ranked lists, by Plackett and Luce. */
import { z } from "zod";
import { rankingPreflight } from "../../../data/preflight.ts";
import { listwiseDefaults as d, type ListwiseStart, listwise } from "../../../train/listwise.ts";
import { positive } from "../../keys.ts";
import { stageKind } from "../../stage.ts";
import { trainingHooks, trainingOptions } from "../../training.ts";
import { nextOf, preferenceKeys, refModelKey } from "./keys.ts";

export const listwiseStage = stageKind({
  name: "listwise",
  description: "improve a model by direct preference optimisation on ranked lists (Plackett-Luce)",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKey,
    beta: positive("strength of the pull towards the reference", { default: d.beta }),
    ...preferenceKeys.after(d),
  }),
  required: ["model", "data"],
  models: ["model", "ref_model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/accuracies", "rewards/margins", "eval_loss"],
  next: nextOf,
  async run({ ref_model, ...keys }, context) {
    let data = { rows: 0, skipped: 0 };
    const result = await listwise(
      {
        ...trainingOptions(keys, context),
        model: await context.model(keys.model as string),
        ...(ref_model !== undefined && { refModel: await context.model(ref_model) }),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data) }),
      },
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: ListwiseStart) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        const preflight = rankingPreflight(train, tokenizer);
        return { preflight, ...(held && { heldOut: held.rows }), totalSteps, step, tokens };
      }),
    );
    return { ...result, data };
  },
});
