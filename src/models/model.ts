/**
 * A model as functions over its parameter tree: hidden states, logits, and the scores of a scalar head.
 *
 * Rows are padded on the right. A token only sees what stands before it, so such padding is never seen and
 * needs no mask; rows that hold several documents say which token belongs to which by `segment_ids`.
 */
import {
  AttuneError,
  arange,
  attention,
  type Dim,
  flatten,
  type HostArray,
  matmul,
  type Shape,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import { gaussian } from "../graph/random.ts";
import type { ModelConfig } from "./config/config.ts";
import { families } from "./families/index.ts";
import { type Attend, causalMask, weightsOf } from "./families/layers.ts";

/** One batch of token rows. */
export interface TokenBatch {
  /** [B, T], int64, padded on the right */
  readonly input_ids: Tensor;
  /** [B, T], int64; 0, 1, 2, ... when left out */
  readonly position_ids?: Tensor;
  /** [B, T], int64: tokens see only their own segment */
  readonly segment_ids?: Tensor;
}

/** Name and shape of every parameter, heads included: "score.weight" for a classifier, else the language head. */
export function parameterShapes(config: ModelConfig): Record<string, number[]> {
  const family = families[config.family];
  const shapes = family.parameters(config);
  if (config.numLabels !== undefined) shapes["score.weight"] = [config.numLabels, config.hiddenSize];
  else if (!config.tieEmbeddings) shapes[family.head] = [config.vocabSize, config.hiddenSize];
  return shapes;
}

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
export function causalAttention(config: ModelConfig, length: Dim, segments?: Tensor): Attend {
  const scale = config.scaleAttention ? undefined : 1;
  return (layer, query, key, value) => {
    const window = config.layerWindows[layer];
    const mask = causalMask(length, {
      ...(window !== undefined && { window }),
      ...(segments && { segments }),
    });
    return attention(query, key, value, { mask, ...(scale !== undefined && { scale }) });
  };
}

/** Last hidden states of every token, rows [B T, C]. */
export function hiddenStates(config: ModelConfig, params: Tree<Tensor>, batch: TokenBatch): Tensor {
  const length = batch.input_ids.shape[1] as Dim;
  return families[config.family].hidden(config, weightsOf(flatten(params)), {
    ids: batch.input_ids,
    positions: batch.position_ids ?? arange(length),
    attend: causalAttention(config, length, batch.segment_ids),
  });
}

/** The matrix [V, C] that turns hidden states into logits. */
export function outputProjection(config: ModelConfig, params: Tree<Tensor>): Tensor {
  const { embedding, head } = families[config.family];
  return weightsOf(flatten(params))(config.tieEmbeddings ? embedding : head);
}

/** Logits [N, V] of hidden rows [N, C]. */
export const logitsOf = (config: ModelConfig, params: Tree<Tensor>, hidden: Tensor): Tensor =>
  matmul(hidden, outputProjection(config, params), { transposeB: true });

/** Scores [N, labels] of hidden rows [N, C], from the bias-free head "score.weight". */
export function scoresOf(config: ModelConfig, params: Tree<Tensor>, hidden: Tensor): Tensor {
  if (config.numLabels === undefined)
    throw new AttuneError("scoresOf: the model has no score head (num_labels)");
  return matmul(hidden, weightsOf(flatten(params))("score.weight"), { transposeB: true });
}

/**
 * Fresh parameters as transformers draws them: N(0, initializer_range) for matrices, 1 for norm weights, 0 for
 * biases; a score head is N(0, 1/sqrt(C + 1)).
 */
export function initialParameters(config: ModelConfig, seed: number): Record<string, HostArray<"float32">> {
  const std = Number(config.raw.initializer_range ?? 0.02);
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape], i) => {
      const data = new Float32Array(shape.reduce((n, d) => n * d, 1));
      if (name === "score.weight") gaussian(data, seed, i, 1 / Math.sqrt(config.hiddenSize + 1));
      else if (shape.length > 1) gaussian(data, seed, i, std);
      else if (!name.endsWith(".bias")) data.fill(1);
      return [name, { dtype: "float32" as const, shape, data }];
    }),
  );
}
