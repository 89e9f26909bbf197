/**
 * The keys that several kinds of stage share, as schemas: names as TRL spells them, a sentence for the help text, the
 * default as it is shown. Recipe files, their JSON Schema and the options of the command line are all made from these.
 *
 * A key that is left out stays out: the trainers know their defaults, here they are only told.
 */
import { z } from "zod";
import { pairTruncations, truncations } from "../data/truncation.ts";
import { loraDefaults } from "../models/adapters/lora.ts";
import { scheduleNames } from "../optim/schedules.ts";
import { optimizerNames, type trainerDefaults } from "../train/loop/trainer-options.ts";

/** A trainer's defaults, which may differ from the common ones. */
type Defaults = { readonly [K in keyof typeof trainerDefaults]: string | number | boolean };

/** What a key's schema may say beside its type. */
interface Told {
  /** Shown in help texts; nothing is filled in from it. */
  readonly default?: string | number | boolean;
  /** Other names that are understood, such as shorter ones. */
  readonly aliases?: readonly string[];
  /** On the command line several values stand in one, between commas. */
  readonly commas?: boolean;
  /** A word that may stand in the place of a number. */
  readonly word?: string;
}

const told = <T extends z.ZodType>(
  schema: T,
  description: string,
  { default: value, aliases, commas, word }: Told = {},
) =>
  schema.optional().meta({
    description,
    ...(value !== undefined && { default: value }),
    ...(aliases && { aliases }),
    ...(commas && { commas }),
    ...(word !== undefined && { word }),
  });

export const text = (description: string, rest?: Told) => told(z.string().min(1), description, rest);
export const flag = (description: string, rest?: Told) => told(z.boolean(), description, rest);
export const number = (description: string, rest?: Told) => told(z.number(), description, rest);
export const positive = (description: string, rest?: Told) => told(z.number().positive(), description, rest);
export const fromZero = (description: string, rest?: Told) => told(z.number().min(0), description, rest);
export const share = (description: string, rest?: Told) => told(z.number().min(0).max(1), description, rest);
export const count = (description: string, rest?: Told) => told(z.int().min(1), description, rest);
/** A count, or a word that says how it is found. */
export const countOr = <const W extends string>(word: W, description: string, rest?: Told) =>
  told(z.union([z.int().min(1), z.literal(word)]), description, { ...rest, word });
export const whole = (description: string, rest?: Told) => told(z.int().min(0), description, rest);
export const choice = <const T extends readonly [string, ...string[]]>(
  names: T,
  description: string,
  rest?: Told,
) => told(z.enum(names), description, rest);
/** One of the names, or a list of them. */
export const choices = <const T extends readonly [string, ...string[]]>(
  names: T,
  description: string,
  rest?: Told,
) => told(z.union([z.enum(names), z.array(z.enum(names)).min(1)]), description, { ...rest, commas: true });
export const numbers = (description: string, rest?: Told) =>
  told(z.array(z.number()).min(1), description, { ...rest, commas: true });
export const texts = (description: string, rest?: Told) =>
  told(z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]), description, rest);
export const object = <T extends z.ZodRawShape>(shape: T, description: string) =>
  told(z.strictObject(shape), description);

/** A model by name: a folder, a hub id, or an earlier stage of the recipe. */
export const modelKey = (description = "folder, hub id (org/name[@revision]), or an earlier stage") =>
  text(description);

/** What a policy is compared with. */
export const refModelKeys = {
  ref_model: modelKey("the reference (default: the model as it is at the start)"),
  int8_reference: flag("hold the reference with 8-bit projections: less memory, a small offset", {
    default: false,
  }),
};

export const adapterKeys = {
  use_peft: flag("train a low-rank adapter (LoRA) and leave the model as it is; any lora_... does too"),
  lora_r: count("rank of the adapter", { default: loraDefaults.r }),
  lora_alpha: positive("the update is scaled by alpha / rank", { default: loraDefaults.loraAlpha }),
  lora_target_modules: texts("modules with an adapter", { default: String(loraDefaults.targetModules) }),
  lora_modules_to_save: texts("modules that are trained whole"),
  lora_dropout: fromZero("only 0 is supported"),
  use_rslora: flag("scale by alpha / sqrt(rank)"),
};

/** How parameters are updated, for every trainer. */
export const optimizerKeys = (d: Defaults) => ({
  learning_rate: positive("peak learning rate", { default: d.learningRate }),
  lr_scheduler_type: choice(scheduleNames as [string, ...string[]], "its course", {
    default: d.lrSchedulerType,
  }),
  warmup_steps: whole("steps in which it rises from 0", { default: 0 }),
  warmup_ratio: share("the same as a share of all steps"),
  max_grad_norm: fromZero("gradients are scaled down to this norm; 0: never", { default: d.maxGradNorm }),
  weight_decay: fromZero("weight decay", { default: d.weightDecay }),
  optim: choice(optimizerNames, "optimizer", { default: d.optimizer, aliases: ["optimizer"] }),
  adam_beta1: share("decay of the mean of gradients", { default: d.adamBeta1 }),
  adam_beta2: share("decay of the mean of their squares", { default: d.adamBeta2 }),
  adam_epsilon: positive("added to its root", { default: d.adamEpsilon }),
  lion_beta1: share("of lion: share of the mean in the step's direction", { default: d.lionBeta1 }),
  lion_beta2: share("of lion: decay of that mean", { default: d.lionBeta2 }),
  momentum: share("momentum of sgd", { default: d.momentum }),
  ema_decay: share("keep a moving average of the weights, evaluate it and end with it (default: none)"),
  seed: whole("of everything that is drawn (default: the recipe's)", { default: d.seed }),
});

/** How long fixed rows are trained on, and in which pieces. */
export const courseKeys = (d: Defaults) => ({
  per_device_train_batch_size: count("rows of a micro-batch", {
    default: d.batchSize,
    aliases: ["batch_size"],
  }),
  gradient_accumulation_steps: count("micro-batches of a step", {
    default: d.gradientAccumulation,
    aliases: ["gradient_accumulation"],
  }),
  num_train_epochs: positive("times that the data is seen", {
    default: d.numEpochs,
    aliases: ["num_epochs"],
  }),
  max_steps: count("steps; wins over num_train_epochs"),
  group_by_length: flag("rows of like length share a batch", { default: true }),
  fp16: flag("products in half precision, weights in single, the loss scaled; on WebGPU and CUDA", {
    default: false,
  }),
});

/** Held-out rows and what is made of them. */
export const evalKeys = (d: Defaults) => ({
  eval_data: texts("held-out rows; several are joined"),
  per_device_eval_batch_size: count("rows of a batch of held-out rows (default: as in training)", {
    aliases: ["eval_batch_size"],
  }),
  eval_steps: count("steps between evaluations (default: a tenth of all)"),
  early_stopping_patience: count("stop after so many evaluations without a better one"),
  metric_for_best_model: text("what says which model is best", {
    default: d.metricForBest,
    aliases: ["metric_for_best"],
  }),
  load_best_model_at_end: flag("end with the best model, not with the last one", { default: true }),
});

/** Checkpoints, what is kept in memory, and its guard. */
export const runKeys = (d: Defaults) => ({
  gradient_checkpointing: flag("compute each layer again in the backward pass instead of keeping it", {
    default: d.gradientCheckpointing,
  }),
  logits_chunk_size: countOr("auto", "rows of logits that are in memory at a time, or auto (default: all)"),
  save_steps: count("steps between checkpoints (default: a tenth of all)"),
  save_total_limit: count("checkpoints that are kept", { default: d.saveTotalLimit }),
  memory_check: flag("refuse to start when a step seems not to fit into memory", { default: true }),
});

/** Rows: where from, how long, what about bad ones. */
export const rowKeys = {
  data: texts(
    "rows to train on: files (.jsonl, .json, .csv, .parquet, .txt; .gz), hub datasets, or world:NAME; with =WEIGHT a share of a mixture",
  ),
  format: text("format of the rows, see docs/data.md (default: recognised by the columns)"),
  on_bad_row: choice(["error", "skip"], "rows that cannot be used", { default: "error" }),
  max_length: count("tokens of a row (default: 1024, or the model's context)"),
  truncation: choice(truncations as unknown as [string, ...string[]], "rows that are longer"),
};

const { truncation: _, ...rows } = rowKeys;

/** The same for pairs, whose prompts and responses are shortened apart. */
export const pairRowKeys = {
  ...rows,
  max_prompt_length: count("tokens of a prompt, at most"),
  max_completion_length: count("tokens of a response, at most"),
  prompt_truncation: choice(pairTruncations, "prompts that are longer (default: keep_end)"),
  completion_truncation: choice(pairTruncations, "responses that are longer (default: keep_start)"),
};
