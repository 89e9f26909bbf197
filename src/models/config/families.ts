/**
 * The model families: one row each for what a config.json calls its keys, the defaults of transformers 5.23, and what
 * is particular about the family's mathematics.
 */
import { z } from "zod";
import { CheckpointError } from "../errors.ts";
import type { RopeKeys } from "./rope.ts";

export type Family =
  | "gpt2"
  | "llama"
  | "mistral"
  | "qwen2"
  | "qwen3"
  | "gpt_neox"
  | "gpt_neo"
  | "bert"
  | "distilbert";
export type Activation = "gelu_new" | "gelu" | "silu" | "relu";

export type Raw = Readonly<Record<string, unknown>>;

const count = z.number().int().positive();
const tokenId = z.number().int().nonnegative();

/** What every family has, under the names of Llama's config.json. */
export const sizesSchema = z.object({
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  intermediate_size: count.nullish(),
  max_position_embeddings: count,
  norm_eps: z.number().nonnegative(),
  hidden_act: z.string(),
});
export type Sizes = z.infer<typeof sizesSchema>;

/** The rest, which only some families look at. */
export const optionsSchema = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  tie_word_embeddings: z.boolean(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  scale_attn_weights: z.boolean().optional(),
  use_parallel_residual: z.boolean().optional(),
  use_sliding_window: z.boolean().optional(),
  sliding_window: count.nullish(),
  max_window_layers: z.number().int().nonnegative().optional(),
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
  attention_types: z.array(z.tuple([z.array(z.enum(["global", "local"])), count])).nullish(),
  window_size: count.optional(),
  num_labels: count.nullish(),
  id2label: z.record(z.string(), z.unknown()).nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  pad_token_id: z.number().int().nullish(),
});
export type Options = z.infer<typeof optionsSchema>;

/** What is particular about a family; what is left out is false, except `scaleAttention`, which is true. */
export interface FamilyTraits {
  /** Bias of the query, key and value projections. */
  readonly attentionBias?: boolean;
  /** Bias of the attention's output projection. */
  readonly outputBias?: boolean;
  readonly mlpBias?: boolean;
  /** RMSNorm over each head of queries and keys. */
  readonly qkNorm?: boolean;
  /** Attention and MLP read the same input and are added together (GPT-NeoX). */
  readonly parallelResidual?: boolean;
  /** Scores are divided by sqrt(headDim). */
  readonly scaleAttention?: boolean;
  /** Per layer, how many positions a token sees, itself included; undefined is all of them. */
  readonly layerWindows?: readonly (number | undefined)[];
}

export interface FamilyRow {
  /** Class names of transformers, of the language model (of an encoder the bare model) and of the classifier. */
  readonly architectures: readonly [string, string];
  /** Keys that differ from `sizesSchema`. Both names are accepted, as in transformers' attribute_map. */
  readonly keys: Partial<Record<keyof Sizes, string>>;
  readonly defaults: Raw;
  readonly rope?: RopeKeys;
  /** A key and the one value of it that is supported. */
  readonly only?: Raw;
  readonly traits: (options: Options, sizes: Sizes) => FamilyTraits;
}

const llamaLike = {
  keys: { norm_eps: "rms_norm_eps" },
  rope: { theta: "rope_theta" },
  // transformers ignores it in these families for the default rope type and fails for the others.
  only: { partial_rotary_factor: 1 },
} as const;

const llamaDefaults = {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  hidden_act: "silu",
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
};

const qwenDefaults = {
  ...llamaDefaults,
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
  sliding_window: 4096,
  max_window_layers: 28,
  bos_token_id: null,
  eos_token_id: null,
};

/** Qwen windows the layers from `max_window_layers` on, or those that `layer_types` names. */
function qwenWindows(options: Options, { num_hidden_layers: layers }: Sizes): (number | undefined)[] {
  const window = options.use_sliding_window ? (options.sliding_window ?? undefined) : undefined;
  const types = options.layer_types;
  if (types == null)
    return Array.from({ length: layers }, (_, i) =>
      i >= (options.max_window_layers as number) ? window : undefined,
    );
  if (types.length !== layers)
    throw new CheckpointError(`layer_types names ${types.length} layers, num_hidden_layers is ${layers}`);
  if (window === undefined && types.includes("sliding_attention"))
    throw new CheckpointError(
      "layer_types has sliding_attention, which needs use_sliding_window and sliding_window",
    );
  return types.map((type) => (type === "sliding_attention" ? window : undefined));
}

const encoderDefaults = {
  vocab_size: 30522,
  max_position_embeddings: 512,
  tie_word_embeddings: true,
  pad_token_id: 0,
};

const encoderTraits = { attentionBias: true, outputBias: true, mlpBias: true };

export const families: Record<Family, FamilyRow> = {
  gpt2: {
    architectures: ["GPT2LMHeadModel", "GPT2ForSequenceClassification"],
    keys: {
      hidden_size: "n_embd",
      num_hidden_layers: "n_layer",
      num_attention_heads: "n_head",
      intermediate_size: "n_inner",
      max_position_embeddings: "n_positions",
      norm_eps: "layer_norm_epsilon",
      hidden_act: "activation_function",
    },
    defaults: {
      vocab_size: 50257,
      n_embd: 768,
      n_layer: 12,
      n_head: 12,
      n_positions: 1024,
      layer_norm_epsilon: 1e-5,
      activation_function: "gelu_new",
      tie_word_embeddings: true,
      bos_token_id: 50256,
      eos_token_id: 50256,
    },
    only: { scale_attn_by_inverse_layer_idx: false, add_cross_attention: false },
    traits: ({ scale_attn_weights: scaleAttention = true }) => ({
      attentionBias: true,
      outputBias: true,
      mlpBias: true,
      scaleAttention,
    }),
  },
  llama: {
    ...llamaLike,
    architectures: ["LlamaForCausalLM", "LlamaForSequenceClassification"],
    defaults: llamaDefaults,
    traits: ({ attention_bias: bias = false, mlp_bias: mlpBias = false }) => ({
      attentionBias: bias,
      outputBias: bias,
      mlpBias,
    }),
  },
  mistral: {
    ...llamaLike,
    architectures: ["MistralForCausalLM", "MistralForSequenceClassification"],
    defaults: {
      ...llamaDefaults,
      intermediate_size: 14336,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      sliding_window: 4096,
    },
    traits: ({ sliding_window: window }, { num_hidden_layers: layers }) => ({
      layerWindows: Array(layers).fill(window ?? undefined),
    }),
  },
  qwen2: {
    ...llamaLike,
    architectures: ["Qwen2ForCausalLM", "Qwen2ForSequenceClassification"],
    defaults: qwenDefaults,
    traits: (options, sizes) => ({ attentionBias: true, layerWindows: qwenWindows(options, sizes) }),
  },
  qwen3: {
    ...llamaLike,
    architectures: ["Qwen3ForCausalLM", "Qwen3ForSequenceClassification"],
    defaults: { ...qwenDefaults, head_dim: 128 },
    traits: (options, sizes) => ({
      attentionBias: options.attention_bias ?? false,
      outputBias: options.attention_bias ?? false,
      qkNorm: true,
      layerWindows: qwenWindows(options, sizes),
    }),
  },
  gpt_neox: {
    architectures: ["GPTNeoXForCausalLM", "GPTNeoXForSequenceClassification"],
    keys: { norm_eps: "layer_norm_eps" },
    defaults: {
      vocab_size: 50432,
      hidden_size: 6144,
      num_hidden_layers: 44,
      num_attention_heads: 64,
      intermediate_size: 24576,
      hidden_act: "gelu",
      max_position_embeddings: 2048,
      layer_norm_eps: 1e-5,
      tie_word_embeddings: false,
      bos_token_id: 0,
      eos_token_id: 2,
    },
    rope: { theta: "rotary_emb_base", partial: { key: "rotary_pct", byDefault: 0.25 } },
    traits: ({ attention_bias: bias = true, use_parallel_residual: parallelResidual = true }) => ({
      attentionBias: bias,
      outputBias: bias,
      mlpBias: true,
      parallelResidual,
    }),
  },
  gpt_neo: {
    architectures: ["GPTNeoForCausalLM", "GPTNeoForSequenceClassification"],
    keys: {
      num_hidden_layers: "num_layers",
      num_attention_heads: "num_heads",
      norm_eps: "layer_norm_epsilon",
      hidden_act: "activation_function",
    },
    defaults: {
      vocab_size: 50257,
      hidden_size: 2048,
      num_layers: 24,
      num_heads: 16,
      max_position_embeddings: 2048,
      layer_norm_epsilon: 1e-5,
      activation_function: "gelu_new",
      attention_types: [[["global", "local"], 12]],
      window_size: 256,
      tie_word_embeddings: true,
      bos_token_id: 50256,
      eos_token_id: 50256,
    },
    traits: ({ attention_types: types, window_size: window }, { num_hidden_layers: layers }) => {
      const names = (types ?? [[["global", "local"], 12]]).flatMap(([pattern, times]) =>
        Array.from({ length: times }, () => pattern).flat(),
      );
      if (names.length !== layers)
        throw new CheckpointError(`attention_types names ${names.length} layers, num_layers is ${layers}`);
      return {
        outputBias: true,
        mlpBias: true,
        scaleAttention: false,
        layerWindows: names.map((name) => (name === "local" ? window : undefined)),
      };
    },
  },
  bert: {
    architectures: ["BertModel", "BertForSequenceClassification"],
    keys: { norm_eps: "layer_norm_eps" },
    defaults: {
      ...encoderDefaults,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      hidden_act: "gelu",
      layer_norm_eps: 1e-12,
    },
    only: { is_decoder: false, add_cross_attention: false, position_embedding_type: "absolute" },
    traits: () => encoderTraits,
  },
  distilbert: {
    architectures: ["DistilBertModel", "DistilBertForSequenceClassification"],
    keys: {
      hidden_size: "dim",
      num_hidden_layers: "n_layers",
      num_attention_heads: "n_heads",
      intermediate_size: "hidden_dim",
      hidden_act: "activation",
    },
    defaults: {
      ...encoderDefaults,
      dim: 768,
      n_layers: 6,
      n_heads: 12,
      hidden_dim: 3072,
      activation: "gelu",
      norm_eps: 1e-12, // no key: transformers has it in the code
    },
    traits: () => encoderTraits,
  },
};

/** Options of any family that would change the mathematics, and the one value of each that is supported. */
export const onlyEverywhere: Raw = {
  quantization_config: undefined,
  is_encoder_decoder: false,
  is_causal: true,
  use_bidirectional_attention: false,
  per_layer_config: undefined,
};

/** Names of transformers; the several spellings of the tanh approximation are one function. */
export const activations: Record<string, Activation> = {
  gelu_new: "gelu_new",
  gelu_fast: "gelu_new",
  gelu_accurate: "gelu_new",
  gelu_pytorch_tanh: "gelu_new",
  gelu: "gelu",
  gelu_python: "gelu",
  silu: "silu",
  swish: "silu",
  relu: "relu",
};
