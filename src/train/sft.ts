/**
 * Supervised fine-tuning: next-token prediction on text, on completions of prompts, or on conversations.
 *
 *     L = - 1/n sum log p(label_t | tokens up to t)      n: the labels of the whole batch, not of a micro-batch
 */
import { type Dataset, loadDataset } from "../data/dataset.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { type FitResult, fitRows } from "./loop/fit.ts";
import { labelSpec, textRows } from "./loop/label-rows.ts";
import { languageModelLoss } from "./loop/language-model.ts";
import { textModelOf } from "./loop/text-model.ts";
import { type Course, type TrainerHooks, withDefaults } from "./loop/trainer-options.ts";
import { type SftOptions, sftDefaults } from "./sft-options.ts";

export interface SftStart extends Course {
  readonly train: Dataset;
  readonly eval?: Dataset;
  /** With the tokens of the chat template. */
  readonly tokenizer: Tokenizer;
}

export type SftHooks = TrainerHooks<SftStart>;
export type SftResult = FitResult;

/**
 * Fine-tunes a model.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await sft({ model: await loadModel("gpt2"), data: "rows.jsonl", outputDir: "run" });
 */
export async function sft(options: SftOptions, hooks: SftHooks = {}): Promise<SftResult> {
  const o = withDefaults(sftDefaults, options);
  const { model, tokenizer, maxLength, reading } = textModelOf(o.model, options, {
    trainer: "sft",
    defaultLength: o.maxLength,
  });
  const train = await loadDataset(o.data, tokenizer, { ...o, ...reading });
  const held =
    o.evalData === undefined
      ? undefined
      : await loadDataset(o.evalData, tokenizer, { ...o, ...reading, packing: false });
  const { packed } = train;
  return fitRows(
    {
      model,
      loss: languageModelLoss(model.config, { accuracy: true }),
      batchSpec: labelSpec(packed),
      rows: textRows(train, { packed, maxLength }),
      held: held && textRows(held, { packed, maxLength: model.config.maxPositions }),
      fingerprint: { maxLength, packed },
    },
    o,
    { ...hooks, onStart: (course) => hooks.onStart?.({ ...course, train, eval: held, tokenizer }) },
  );
}
