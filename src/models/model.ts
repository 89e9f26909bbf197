/**
 * A model as functions over its parameter tree: hidden states, logits, and the scores of a scalar head.
 *
 * Rows are padded on the right. A token only sees what stands before it, so such padding is never seen and
 * needs no mask; rows that hold several documents say which token belongs to which by `segment_ids`. Tokens of an
 * encoder see both sides: its rows bring their `lengths`.
 */
import {
  AttuneError,
  arange,
  attention,
  type Dim,
  flatten,
  type HostArray,
  inChunks,
  matmul,
  mul,
  type Shape,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import { gaussian } from "../graph/random.ts";
import type { ModelConfig } from "./config/config.ts";
import { families, type ScoreHead } from "./families/index.ts";
import { causalMask, encoderMask, weightsOf } from "./families/layers.ts";
import { type RaggedBatch, raggedSequence } from "./families/ragged.ts";
import { type Attend, gridSequence } from "./families/sequence.ts";
import { tiedHead } from "./quantize.ts";
import { featureWidth, promptEncoderShapes, readsApart } from "./towers.ts";
import { logitsChunkOf, project, tracing } from "./tracing.ts";

/** One batch of token rows. */
export interface TokenBatch {
  /** [B, T], int64, padded on the right */
  readonly input_ids: Tensor;
  /** [B, T], int64; 0, 1, 2, ... when left out */
  readonly position_ids?: Tensor;
  /** [B, T], int64: tokens see only their own segment */
  readonly segment_ids?: Tensor;
  /**
   * [B, T], int64: several continuations of one beginning. Tokens of the beginning are 0, those of a continuation 1, 2,
   * ...; they see the beginning and their own continuation, whose positions go on from the beginning's.
   */
  readonly branch_ids?: Tensor;
  /** [B], int64: tokens of each row without padding, for an encoder, whose tokens would see it */
  readonly lengths?: Tensor;
}

/** The head of most classifiers: "score.weight", without bias. */
const scalarHead: ScoreHead = {
  parameters: (config, numLabels) => ({ "score.weight": [numLabels, featureWidth(config)] }),
  scores: (weights, pooled) => matmul(pooled, weights("score.weight"), { transposeB: true }),
};

/** Of a model that reads prompt and response apart it is the same for every family. */
export const scoreHeadOf = (config: ModelConfig): ScoreHead =>
  (readsApart(config) ? undefined : families[config.family].scoreHead) ?? scalarHead;

/** Name and shape of every parameter, heads included: those of the scores for a classifier, else the language head. */
export function parameterShapes(config: ModelConfig): Record<string, number[]> {
  const family = families[config.family];
  const shapes = family.parameters(config);
  if (config.numLabels !== undefined)
    Object.assign(
      shapes,
      promptEncoderShapes(config, shapes),
      scoreHeadOf(config).parameters(config, config.numLabels),
      statisticShapes(config),
    );
  else if (!config.tieEmbeddings && !family.encoder)
    shapes[family.head] = [config.vocabSize, config.hiddenSize];
  return shapes;
}

/** Of a reward model that knows what usual input looks like: mean and inverse covariance of its pooled states. */
const statisticShapes = (config: ModelConfig): Record<string, number[]> => {
  if (config.raw.feature_statistics === undefined) return {};
  const width = featureWidth(config);
  return { feature_mean: [width], feature_precision: [width, width] };
};

/** The parameters' specification, as `compile` takes it. */
export const parameterSpecs = (config: ModelConfig): Tree<TensorSpec> =>
  unflatten(
    Object.fromEntries(
      Object.entries(parameterShapes(config)).map(([name, shape]) => [
        name,
        { dtype: "float32" as const, shape },
      ]),
    ),
  );

/** The specification of a token batch with dimensions B and T. */
export const tokenSpec = (shape: Shape = ["B", "T"]): TensorSpec => ({ dtype: "int64", shape });

/** Full causal attention over the rows of a batch, with each layer's own window. */
export function causalAttention(
  config: ModelConfig,
  length: Dim,
  { segment_ids: segments, branch_ids: branches, position_ids: positions }: Partial<TokenBatch> = {},
): Attend {
  const scale = config.scaleAttention ? undefined : 1;
  return (layer, query, key, value) => {
    const window = config.layerWindows[layer];
    const mask = causalMask(length, { window, segments, branches, positions });
    return attention(query, key, value, { mask, ...(scale !== undefined && { scale }) });
  };
}

/** Attention of an encoder's rows, padded on the right. */
function encoderAttention(length: Dim, { segment_ids: segments, lengths }: TokenBatch): Attend {
  const mask = encoderMask(length, { ...(segments && { segments }), ...(lengths && { lengths }) });
  return (_, query, key, value) => attention(query, key, value, mask ? { mask } : {});
}

/**
 * Last hidden states of every token, rows [B T, C]; of a ragged batch those of the tokens that are read, [M, C].
 *
 * @throws AttuneError for a ragged batch of an encoder, whose tokens are all asked by others
 */
export function hiddenStates(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: TokenBatch | RaggedBatch,
): Tensor {
  const family = families[config.family];
  const weights = weightsOf(flatten(params));
  if ("grid" in batch) {
    if (family.encoder) throw new AttuneError(`model: ragged rows need a decoder, ${config.family} is none`);
    return family.hidden(config, weights, raggedSequence(config, batch));
  }
  const length = batch.input_ids.shape[1] as Dim;
  const sequence = gridSequence({
    ids: batch.input_ids,
    positions: batch.position_ids ?? arange(length),
    attend: family.encoder ? encoderAttention(length, batch) : causalAttention(config, length, batch),
  });
  return family.hidden(config, weights, sequence);
}

/** @throws AttuneError for encoders and classifiers, which have scores and no next token */
export function requireLanguageModel({ family, numLabels }: ModelConfig): void {
  if (families[family].encoder)
    throw new AttuneError(`model: a language model is required, ${family} is an encoder`);
  if (numLabels !== undefined)
    throw new AttuneError(
      "model: a language model is required, this one has scores (num_labels), as reward models have",
    );
}

/** The matrix [V, C] that turns hidden states into logits. */
export function outputProjection(config: ModelConfig, params: Tree<Tensor>): Tensor {
  const { embedding, head } = families[config.family];
  requireLanguageModel(config);
  const weights = weightsOf(flatten(params));
  if (!config.tieEmbeddings) return weights(head);
  return weights.maybe(tiedHead) ?? weights(embedding);
}

/** Logits [N, V] of hidden rows [N, C]. */
export const logitsOf = (config: ModelConfig, params: Tree<Tensor>, hidden: Tensor): Tensor =>
  project(hidden, outputProjection(config, params), { transposeB: true });

/**
 * Figures of rows of logits, each [N], such as the log-probability of a token. Where the trace asks for chunks, only so
 * many rows of logits are ever there, forward and backward.
 *
 * @param hidden [N, C]
 * @param rows what else `fn` reads of each row, [N, ...]
 * @param scale a scalar on the logits, which gets no gradient, such as an inverse temperature
 */
export function logitFigures<R extends Record<string, Tensor>, K extends string>(
  config: ModelConfig,
  params: Tree<Tensor>,
  hidden: Tensor,
  { rows, scale }: { readonly rows: R; readonly scale?: Tensor },
  fn: (logits: Tensor, rows: R) => Record<K, Tensor>,
): Record<K, Tensor> {
  const [count] = hidden.shape;
  const chunk = logitsChunkOf(
    tracing().logitsChunk,
    config.vocabSize,
    typeof count === "number" ? count : undefined,
  );
  const of = (part: Tensor, projection: Tensor, own: R) =>
    fn(project(part, projection, { transposeB: true }), own);
  const projection = outputProjection(config, params);
  // The scale stands at the narrow side of the product.
  const scaled = scale ? mul(hidden, scale) : hidden;
  if (chunk === undefined) return of(scaled, projection, rows);
  return inChunks(
    ({ hidden: part, ...own }, shared) => of(part as Tensor, shared.projection, own as unknown as R),
    { ...rows, hidden: scaled },
    { projection },
    chunk,
  );
}

/** Scores [N, labels] of pooled hidden rows [N, C]. */
export function scoresOf(config: ModelConfig, params: Tree<Tensor>, hidden: Tensor): Tensor {
  if (config.numLabels === undefined)
    throw new AttuneError("scoresOf: the model has no score head (num_labels)");
  return scoreHeadOf(config).scores(weightsOf(flatten(params)), hidden);
}

/** What scores are made with, in the layouts of decoders and encoders. */
const scoreWeights = new Set(["score.weight", "classifier.weight"]);

/**
 * Fresh parameters as transformers draws them: N(0, initializer_range) for matrices, 1 for norm weights, 0 for
 * biases; a score head that reads F numbers is N(0, 1/sqrt(F + 1)).
 */
export function initialParameters(config: ModelConfig, seed: number): Record<string, HostArray<"float32">> {
  const std = Number(config.raw.initializer_range ?? 0.02);
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape], i) => {
      const data = new Float32Array(shape.reduce((n, d) => n * d, 1));
      if (scoreWeights.has(name)) gaussian(data, seed, i, 1 / Math.sqrt((shape[1] as number) + 1));
      else if (shape.length > 1) gaussian(data, seed, i, std);
      else if (!name.endsWith(".bias")) data.fill(1);
      return [name, { dtype: "float32" as const, shape, data }];
    }),
  );
}
