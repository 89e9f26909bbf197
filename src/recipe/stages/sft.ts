/** The stage `sft`: supervised fine-tuning on text, on completions of prompts, or on conversations. */
import { z } from "zod";
import { preflight } from "../../data/preflight.ts";
import { chatTemplateFrom } from "../../models/chat/node-template.ts";
import { type SftStart, sft } from "../../train/sft.ts";
import { sftDefaults as d } from "../../train/sft-options.ts";
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

export const sftStage = stageKind({
  name: "sft",
  description: "fine-tune a model on text, on prompts and completions, or on conversations",
  keys: z.strictObject({
    model: modelKey(),
    ...rowKeys,
    separator: text("what stands between the documents of a text file (default: a file is one)"),
    packing: flag("several rows share one, without seeing each other", { default: false }),
    completion_only_loss: flag("only the completion counts in the loss", { default: true }),
    assistant_only_loss: flag("in conversations only what the assistant says counts", { default: false }),
    chat_template: text(
      "for conversations: chatml, human-assistant, plain, or a file (default: the model's)",
    ),
    ...evalKeys(d),
    ...courseKeys(d),
    ...optimizerKeys(d),
    ...runKeys(d),
    ...adapterKeys,
  }),
  required: ["model", "data"],
  models: ["model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "eval_loss", "mean_token_accuracy", "grad_norm"],
  next: (output) => `the model is in ${output}/model; try: attune generate --model ${output} --prompt "..."`,
  async run(keys, context) {
    let data = { rows: 0, skipped: 0, tokens: 0 };
    const result = await sft(
      {
        ...trainingOptions(keys, context),
        model: await context.model(keys.model as string),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data) }),
        ...(keys.chat_template !== undefined && { chatTemplate: await chatTemplateFrom(keys.chat_template) }),
      },
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: SftStart) => {
        const told = preflight(train, tokenizer);
        data = { rows: told.rows, skipped: told.skipped.length, tokens: told.tokens };
        return { preflight: told, ...(held && { heldOut: held.rows }), totalSteps, step, tokens };
      }),
    );
    return { ...result, data };
  },
});
