/**
 * The shape of a model, from a Hugging Face config.json or from scratch. The families are in config-families.ts.
 *
 * An option that would change the mathematics and is not implemented is refused by name, never ignored.
 */
import type { z } from "zod";
import { CheckpointError } from "../errors.ts";
import type { Activation, Family, FamilyRow, FamilyTraits, Options, Raw, Sizes } from "./families.ts";
import { activations, families, onlyEverywhere, optionsSchema, sizesSchema } from "./families.ts";
import type { Rope } from "./rope.ts";
import { ropeOf } from "./rope.ts";

export type { Activation, Family } from "./families.ts";

export interface ModelConfig extends Required<FamilyTraits> {
  readonly family: Family;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  /** The longest sequence, in tokens, for which the model's positions are right. */
  readonly maxPositions: number;
  /** Epsilon of LayerNorm or RMSNorm. */
  readonly normEps: number;
  /** "gelu_new" is the tanh approximation, "gelu" the exact one with erf. */
  readonly activation: Activation;
  readonly tieEmbeddings: boolean;
  /** Rotary table; absent where positions are learned embeddings. */
  readonly rope?: Rope;
  /** Outputs of a sequence classification head; undefined for a language model. */
  readonly numLabels?: number;
  readonly bosTokenId?: number;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId?: number;
  /** The JSON as read, to be written back on saving. */
  readonly raw: Readonly<Record<string, unknown>>;
}

export const knownFamilies = Object.keys(families) as readonly Family[];

const isRecord = (x: unknown): x is Raw => typeof x === "object" && x !== null && !Array.isArray(x);

function rowOf(family: unknown, source: string): FamilyRow {
  if (typeof family === "string" && Object.hasOwn(families, family)) return families[family as Family];
  throw new CheckpointError(
    `${source}: model_type ${JSON.stringify(family)} is unknown, known families are ${knownFamilies.join(", ")}`,
  );
}

function parse<T>(schema: z.ZodType<T>, value: unknown, source: string, keys: FamilyRow["keys"] = {}): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path: [key, ...rest], message }) => {
    const own = keys[key as keyof Sizes] ?? String(key);
    return `${[own, ...rest].join(".")}: ${message}`;
  });
  throw new CheckpointError(`${source}: ${problems.join("; ")}`);
}

/**
 * Reads the parsed config.json of a model; `source` names the file in errors.
 * Throws `CheckpointError` for an unknown family (listing the known ones), a key of the wrong type, sizes that do not
 * fit together, and options that are not supported.
 */
export function parseConfig(json: unknown, source = "config.json"): ModelConfig {
  if (!isRecord(json)) throw new CheckpointError(`${source}: a JSON object is required, got ${typeof json}`);
  const row = rowOf(json.model_type, source);
  for (const [key, supported] of Object.entries({ ...onlyEverywhere, ...row.only })) {
    const value = json[key] ?? supported;
    if (value !== supported)
      throw new CheckpointError(
        `${source}: ${key} = ${JSON.stringify(value)} is not supported: ${advice(key, supported)}`,
      );
  }
  const given = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined));
  const named = renamed({ ...row.defaults, ...keysAsWritten(given, row.keys) }, row.keys);
  const sizes = parse(sizesSchema, named, source, row.keys);
  const options = parse(optionsSchema, { ...row.defaults, ...given }, source);
  try {
    return assemble(json, row, sizes, options);
  } catch (error) {
    if (error instanceof CheckpointError && !error.message.startsWith(source))
      throw new CheckpointError(`${source}: ${error.message}`, { cause: error });
    throw error;
  }
}

const advice = (key: string, supported: unknown): string =>
  supported === undefined ? `use a checkpoint without ${key}` : `only ${JSON.stringify(supported)} is`;

/** transformers accepts `hidden_size` for GPT-2's `n_embd` and so on; the family's own key wins. */
function keysAsWritten(json: Raw, keys: FamilyRow["keys"]): Raw {
  const out: Record<string, unknown> = { ...json };
  for (const [common, own] of Object.entries(keys))
    if (common in out && !(own in out)) out[own] = out[common];
  return out;
}

/** The family's keys under the common names. */
function renamed(json: Raw, keys: FamilyRow["keys"]): Raw {
  const out: Record<string, unknown> = { ...json };
  for (const [common, own] of Object.entries(keys)) out[common] = json[own];
  return out;
}

function assemble(raw: Raw, row: FamilyRow, sizes: Sizes, options: Options): ModelConfig {
  const family = options.model_type as Family;
  const { hidden_size: hiddenSize, num_attention_heads: numHeads } = sizes;
  if (sizes.head_dim == null && hiddenSize % numHeads !== 0)
    throw new CheckpointError(`hidden size ${hiddenSize} is not a multiple of ${numHeads} attention heads`);
  const headDim = sizes.head_dim ?? hiddenSize / numHeads;
  const numKeyValueHeads = sizes.num_key_value_heads ?? numHeads;
  if (numHeads % numKeyValueHeads !== 0)
    throw new CheckpointError(
      `${numHeads} attention heads are not a multiple of ${numKeyValueHeads} key-value heads`,
    );
  const activation = activations[sizes.hidden_act];
  if (activation === undefined)
    throw new CheckpointError(
      `activation ${sizes.hidden_act} is unknown, known are ${Object.keys(activations).join(", ")}`,
    );
  const isClassifier =
    options.architectures?.some((name) => name.endsWith("ForSequenceClassification")) ?? false;
  // A default id beyond a small vocabulary means that the model has none.
  const known = (id: number | null | undefined, key: string) =>
    id != null && id >= 0 && (key in raw || id < sizes.vocab_size) ? id : undefined;
  return {
    family,
    vocabSize: sizes.vocab_size,
    hiddenSize,
    numLayers: sizes.num_hidden_layers,
    numHeads,
    numKeyValueHeads,
    headDim,
    intermediateSize: sizes.intermediate_size ?? 4 * hiddenSize,
    normEps: sizes.norm_eps,
    activation,
    tieEmbeddings: options.tie_word_embeddings,
    attentionBias: false,
    outputBias: false,
    mlpBias: false,
    qkNorm: false,
    parallelResidual: false,
    scaleAttention: true,
    layerWindows: Array(sizes.num_hidden_layers).fill(undefined),
    ...row.traits(options, sizes),
    ...rotary(raw, row, headDim, sizes.max_position_embeddings),
    numLabels: isClassifier
      ? (options.num_labels ?? (Object.keys(options.id2label ?? {}).length || 2))
      : undefined,
    bosTokenId: known(options.bos_token_id, "bos_token_id"),
    eosTokenIds: [options.eos_token_id]
      .flat()
      .filter((id) => known(id, "eos_token_id") !== undefined) as number[],
    padTokenId: known(options.pad_token_id, "pad_token_id"),
    raw,
  };
}

/** "longrope" has other frequencies beyond its original length: the one table is right up to there, so it ends there. */
function rotary(raw: Raw, { rope: keys }: FamilyRow, headDim: number, maxPositions: number) {
  if (keys === undefined) return { maxPositions };
  const { type, originalMaxPositions, ...rope } = ropeOf(raw, { headDim, maxPositions, keys });
  return {
    rope,
    maxPositions: type === "longrope" ? Math.min(originalMaxPositions, maxPositions) : maxPositions,
  };
}

/**
 * Adds what generation_config.json says about end-of-text, start and padding: its ids come first, because generation
 * obeys them, followed by those of config.json.
 */
export function withGenerationConfig(
  config: ModelConfig,
  json: unknown,
  source = "generation_config.json",
): ModelConfig {
  const ids = parse(
    optionsSchema.pick({ bos_token_id: true, eos_token_id: true, pad_token_id: true }),
    json,
    source,
  );
  const eos = [ids.eos_token_id ?? []].flat();
  return {
    ...config,
    bosTokenId: config.bosTokenId ?? ids.bos_token_id ?? undefined,
    eosTokenIds: [...new Set([...eos, ...config.eosTokenIds])],
    padTokenId: config.padTokenId ?? ids.pad_token_id ?? undefined,
  };
}

/** What a new model is made of; the rest are the family's defaults. */
export interface ModelSizes {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Defaults to `numHeads`. */
  readonly numKeyValueHeads?: number;
  /** Defaults to `hiddenSize / numHeads`. */
  readonly headDim?: number;
  /** Defaults to four times the hidden size. */
  readonly intermediateSize?: number;
  readonly maxPositions: number;
  readonly tieEmbeddings?: boolean;
  /** Outputs of a classification head instead of a language model. */
  readonly numLabels?: number;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number | readonly number[];
  readonly padTokenId?: number;
}

/**
 * The configuration of a new model, with a `raw` that transformers 5.23 loads. `extra` holds further keys under their
 * Hugging Face names, such as `rope_theta` or `sliding_window`.
 */
export function configOf(family: Family, sizes: ModelSizes, extra: Raw = {}): ModelConfig {
  const row = rowOf(family, "configOf");
  const { numLabels, hiddenSize, numHeads, numLayers } = sizes;
  const common: Raw = {
    ...row.defaults,
    ...(family === "gpt_neo" && { attention_types: alternating(numLayers) }),
    ...((family === "mistral" || family.startsWith("qwen")) && { sliding_window: null }),
    ...(row.rope && { [row.rope.theta]: 10_000 }),
    ...(row.rope?.partial && { [row.rope.partial.key]: row.rope.partial.byDefault }),
  };
  const named: Record<string, unknown> = {
    vocab_size: sizes.vocabSize,
    hidden_size: hiddenSize,
    num_hidden_layers: numLayers,
    num_attention_heads: numHeads,
    intermediate_size: sizes.intermediateSize ?? 4 * hiddenSize,
    max_position_embeddings: sizes.maxPositions,
    tie_word_embeddings: sizes.tieEmbeddings ?? common.tie_word_embeddings,
    bos_token_id: sizes.bosTokenId ?? null,
    eos_token_id: sizes.eosTokenId ?? null,
    pad_token_id: sizes.padTokenId ?? null,
  };
  if (sizes.headDim === undefined && hiddenSize % numHeads !== 0)
    throw new CheckpointError(
      `configOf: hidden_size ${hiddenSize} must be a multiple of num_attention_heads ${numHeads}`,
      { wrongUsage: true },
    );
  if (row.keys.norm_eps === "rms_norm_eps") {
    named.num_key_value_heads = sizes.numKeyValueHeads ?? numHeads;
    named.head_dim = sizes.headDim ?? hiddenSize / numHeads;
  } else if ((sizes.numKeyValueHeads ?? numHeads) !== numHeads || sizes.headDim !== undefined) {
    throw new CheckpointError(`configOf: ${family} has neither key-value heads nor a head size of their own`);
  }
  const own = Object.entries(named).map(([key, value]) => [row.keys[key as keyof Sizes] ?? key, value]);
  const raw = {
    architectures: [row.architectures[numLabels === undefined ? 0 : 1]],
    model_type: family,
    ...common,
    ...Object.fromEntries(own),
    ...(numLabels !== undefined && labels(numLabels)),
    ...extra,
  };
  return parseConfig(JSON.parse(JSON.stringify(raw)), `configOf(${family})`);
}

const alternating = (layers: number): unknown[] => {
  const pairs = Math.floor(layers / 2);
  return [...(pairs > 0 ? [[["global", "local"], pairs]] : []), ...(layers % 2 ? [[["global"], 1]] : [])];
};

/** transformers stores the number of labels as their names. */
const labels = (n: number): Raw => {
  const names = Array.from({ length: n }, (_, i) => `LABEL_${i}`);
  return {
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
};
