/**
 * Pre-training: next-token prediction over documents, from a new model or a given one.
 *
 * It is `sft` on texts with other defaults: documents are packed into blocks of the model's context, where they do not
 * see each other; those that are longer are cut, and every token counts once. Blocks are filled best fit first
 * instead of cutting one long stream, so few documents are torn (Ding et al. 2024).
 */
import type { Model } from "../models/load.ts";
import { isNew, type NewModel, newModel } from "./loop/new-model.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { type SftHooks, type SftResult, sft } from "./sft.ts";
import { type SftOptions, sftDefaults } from "./sft-options.ts";

export interface PretrainOptions
  extends Omit<SftOptions, "model" | "completionOnlyLoss" | "assistantOnlyLoss"> {
  /** A model to go on with, or the sizes of a new one. */
  readonly model: Model | NewModel;
}

/** Defaults, as the help texts print them; rates are those of small models. */
export const pretrainDefaults = {
  ...sftDefaults,
  learningRate: 2e-3,
  lrSchedulerType: "cosine",
  warmupRatio: 0.05,
  batchSize: 16,
  numEpochs: 1,
  weightDecay: 0.1,
  adamBeta2: 0.95,
  packing: true,
  truncation: "split",
} as const satisfies Partial<PretrainOptions>;

/**
 * Trains a language model on documents.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const sizes = { hiddenSize: 128, numLayers: 4, numHeads: 4, maxPositions: 256 };
 * const { model } = await pretrain({ model: sizes, data: "documents.txt", separator: "\n\n" });
 */
export async function pretrain(options: PretrainOptions, hooks: SftHooks = {}): Promise<SftResult> {
  const o = withDefaults(pretrainDefaults, options);
  const model = isNew(o.model) ? await newModel(o.model, o.data, o) : o.model;
  const { maxPositions } = model.config;
  return sft(
    {
      ...o,
      model,
      maxLength: options.maxLength ?? maxPositions,
      completionOnlyLoss: false,
    },
    hooks,
  );
}
