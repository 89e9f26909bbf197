/** The stage `pretrain`: a new model and its tokenizer, or one to go on with, on documents. */
import { z } from "zod";
import { preflight } from "../../data/preflight.ts";
import type { Family } from "../../models/config/config.ts";
import type { NewModel } from "../../train/loop/new-model.ts";
import { pretrainDefaults as d, pretrain } from "../../train/pretrain.ts";
import type { SftStart } from "../../train/sft.ts";
import { RecipeError } from "../errors.ts";
import {
  choice,
  count,
  courseKeys,
  evalKeys,
  flag,
  modelKey,
  optimizerKeys,
  positive,
  rowKeys,
  runKeys,
  text,
} from "../keys.ts";
import type { StageContext } from "../stage.ts";
import { stageKind } from "../stage.ts";
import { trainingHooks, trainingOptions } from "../training.ts";

/** Sizes of a new model, under the names of config.json. */
const newModelKeys = {
  model_type: choice(
    ["llama", "gpt2", "mistral", "qwen2", "qwen3", "gpt_neox", "gpt_neo"],
    "family of a new model",
    {
      default: "llama",
    },
  ),
  vocab_size: count("tokens of its tokenizer, which is trained on the data", { default: 1024 }),
  tokenizer: modelKey("take the tokenizer of this model instead of training one"),
  hidden_size: count("width", { default: 128 }),
  num_hidden_layers: count("layers", { default: 4 }),
  num_attention_heads: count("attention heads", { default: 4 }),
  num_key_value_heads: count("key-value heads (default: as many)"),
  intermediate_size: count("width of the feed-forward layers (default: four times hidden_size)"),
  max_position_embeddings: count("tokens of the context", { default: 256 }),
  initializer_range: positive(
    "deviation of the first weights (default: the family's; small models want 0.7 / sqrt(width))",
  ),
  tie_word_embeddings: flag("the output projection is the embedding", { default: true }),
};

const keys = z.strictObject({
  model: modelKey("go on with this model instead of a new one"),
  ...newModelKeys,
  ...rowKeys,
  separator: text("what stands between the documents of a text file (default: a file is one)"),
  packing: flag("several documents share a block, without seeing each other", { default: d.packing }),
  ...evalKeys(d),
  ...courseKeys(d),
  ...optimizerKeys(d),
  ...runKeys(d),
});

export const pretrainStage = stageKind({
  name: "pretrain",
  description: "train a new model, or go on training one, on documents",
  keys,
  required: ["data"],
  models: ["model", "tokenizer"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "eval_loss", "mean_token_accuracy", "grad_norm"],
  next: (output) => `the model is in ${output}/model; try: attune generate --model ${output} --prompt "..."`,
  async run(given, context) {
    let data = { rows: 0, skipped: 0, tokens: 0 };
    const training = Object.fromEntries(Object.entries(given).filter(([key]) => !(key in newModelKeys)));
    const result = await pretrain(
      {
        ...trainingOptions(training, context),
        model: given.model ? await context.model(given.model) : await sizesOf(given, context),
        data: context.data(given.data as string),
        ...(given.eval_data !== undefined && { evalData: context.data(given.eval_data) }),
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

/** What a new model is made of. */
async function sizesOf(
  { model_type, tokenizer: from, ...k }: z.infer<typeof keys>,
  { model }: StageContext,
): Promise<NewModel> {
  const source = from === undefined ? undefined : await model(from);
  if (source && !source.tokenizer)
    throw new RecipeError(`pretrain: tokenizer: ${from} has none; name a model that has one`);
  return {
    family: (model_type ?? "llama") as Family,
    hiddenSize: k.hidden_size ?? 128,
    numLayers: k.num_hidden_layers ?? 4,
    numHeads: k.num_attention_heads ?? 4,
    maxPositions: k.max_position_embeddings ?? 256,
    tieEmbeddings: k.tie_word_embeddings ?? true,
    ...(k.num_key_value_heads !== undefined && { numKeyValueHeads: k.num_key_value_heads }),
    ...(k.intermediate_size !== undefined && { intermediateSize: k.intermediate_size }),
    ...(k.initializer_range !== undefined && { extra: { initializer_range: k.initializer_range } }),
    ...(k.vocab_size !== undefined && { vocabSize: k.vocab_size }),
    ...(source?.tokenizer && { tokenizer: source.tokenizer }),
  };
}
