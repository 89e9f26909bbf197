/** The stage `prm`: a process reward model, from solutions whose steps are labelled. */
import { z } from "zod";
import { prmDefaults as d, type PrmStart, prm } from "../../train/reward/prm.ts";
import {
  adapterKeys,
  courseKeys,
  evalKeys,
  flag,
  modelKey,
  optimizerKeys,
  rowKeys,
  runKeys,
  text,
} from "../keys.ts";
import { stageKind } from "../stage.ts";
import { trainingHooks, trainingOptions } from "../training.ts";

const { truncation: _, ...rows } = rowKeys;

export const prmStage = stageKind({
  name: "prm",
  description: "train a process reward model on solutions whose steps are labelled",
  keys: z.strictObject({
    model: modelKey("a language model, which gets a head, or a process reward model"),
    ...rows,
    step_separator: text("what ends a step (default: a line break)"),
    train_on_last_step_only: flag("learn from the last step of each solution alone", {
      default: d.trainOnLastStepOnly,
    }),
    ...evalKeys(d),
    ...courseKeys(d),
    ...optimizerKeys(d),
    ...runKeys(d),
    ...adapterKeys,
  }),
  required: ["model", "data"],
  models: ["model"],
  leavesModel: true,
  answers: false,
  shown: ["loss", "accuracy", "eval_accuracy"],
  next: (output) =>
    `the process reward model is in ${output}; try: attune score --reward ${output} --data FILE`,
  async run(keys, context) {
    let data = { rows: 0, skipped: 0 };
    const result = await prm(
      {
        ...trainingOptions(keys, context),
        model: await context.model(keys.model as string),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data) }),
      },
      trainingHooks(context, ({ train, eval: held, totalSteps, step, tokens }: PrmStart) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        return { ...(held && { heldOut: held.rows }), totalSteps, step, tokens };
      }),
    );
    return { ...result, data };
  },
});
