/**
 * Operations of transformers and of language-model losses.
 *
 * Each is a node of its own, so that a provider may run it as one kernel and the gradient table may hold the
 * short form of its derivative; `decompositions.ts` says what it means for the providers that have no kernel.
 */
import type { Dim } from "../dims.ts";
import { sameShape, showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { makeNode, type Tensor } from "../tensor.ts";
import { cast, div, equal, maximum, mul, neg, not, where } from "./elementwise.ts";
import { sum } from "./reduce.ts";
import { expandDims, reshape } from "./shape.ts";

const alike = (op: string, x: Tensor, attributes = {}): Tensor =>
  makeNode(op, [x], attributes, [{ dtype: x.dtype, shape: x.shape }])[0] as Tensor;

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => alike("softmax", x);
/** log softmax over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => alike("logSoftmax", x);
/** GELU, x Phi(x), with the exact Gaussian distribution function (Hendrycks and Gimpel 2016). */
export const geluErf = (x: Tensor): Tensor => alike("geluErf", x);
/** GELU in its tanh approximation, `gelu_new` of Hugging Face (ibid.). */
export const gelu = (x: Tensor): Tensor => alike("gelu", x);
/** x sigmoid(x), also called swish (Elfwing et al. 2017). */
export const silu = (x: Tensor): Tensor => alike("silu", x);

function checkFeatures(op: string, x: Tensor, ...parameters: Tensor[]): void {
  const width = x.shape.at(-1);
  for (const p of parameters)
    if (p.shape.length !== 1 || p.shape[0] !== width)
      throw new ShapeError(
        `${op}: ${showShape(x.shape)} needs parameters [${width}], got ${showShape(p.shape)}`,
      );
}

/** (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis (Ba et al. 2016). */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon = 1e-5): Tensor {
  checkFeatures("layerNorm", x, weight, bias);
  const statistics = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
  const outputs = [{ dtype: x.dtype, shape: x.shape }, statistics, statistics];
  return makeNode("layerNorm", [x, weight, bias], { epsilon }, outputs)[0] as Tensor;
}

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang and Sennrich 2019). */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor {
  checkFeatures("rmsNorm", x, weight);
  const outputs = [
    { dtype: x.dtype, shape: x.shape },
    { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] },
  ];
  return makeNode("rmsNorm", [x, weight], { epsilon }, outputs)[0] as Tensor;
}

/**
 * Rotary position embedding in the half-split form of Hugging Face (Su et al. 2021): with x = [x1, x2],
 * [x1 cos - x2 sin, x2 cos + x1 sin].
 *
 * @param x [B, H, T, D]
 * @param cosine broadcasts to [B, H, T, D/2], and so does `sine`
 */
export function rotary(x: Tensor, cosine: Tensor, sine: Tensor): Tensor {
  const width = x.shape.at(-1);
  const half = cosine.shape.at(-1);
  if (typeof width !== "number" || half !== width / 2 || !sameShape(cosine.shape, sine.shape))
    throw new ShapeError(
      `rotary: ${showShape(x.shape)} needs cosine and sine of half its width, got ${showShape(cosine.shape)} and ${showShape(sine.shape)}`,
    );
  return makeNode("rotary", [x, cosine, sine], {}, [{ dtype: x.dtype, shape: x.shape }])[0] as Tensor;
}

export interface AttentionOptions {
  /** Factor on the scores; 1 / sqrt(D) by default. */
  scale?: number;
  /** Added to the scores; broadcasts to [B, 1, T, S]. `causalMask` makes one. */
  mask?: Tensor;
}

/**
 * softmax(scale q k' + mask) v with grouped queries (Vaswani et al. 2017; Ainslie et al. 2023).
 *
 * @param query [B, H, T, D]
 * @param key [B, G, S, D] with H a multiple of G: query head h reads group floor(h G / H)
 * @param value [B, G, S, D]
 * @returns [B, H, T, D]
 */
export function attention(query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions = {}): Tensor {
  const [b, h, t, d] = query.shape as [Dim, Dim, Dim, Dim];
  const [, g, s] = key.shape as [Dim, Dim, Dim, Dim];
  const fits =
    query.shape.length === 4 && sameShape(key.shape, [b, g, s, d]) && sameShape(value.shape, key.shape);
  if (!fits || typeof h !== "number" || typeof g !== "number" || h % g !== 0 || typeof d !== "number")
    throw new ShapeError(
      `attention: query ${showShape(query.shape)}, key ${showShape(key.shape)} and value ${showShape(value.shape)} do not fit`,
    );
  const { scale = 1 / Math.sqrt(d), mask } = options;
  const outputs = [
    { dtype: query.dtype, shape: query.shape },
    { dtype: query.dtype, shape: [b, g, h / g, t, s] }, // the probabilities, which the gradient reads
  ];
  const inputs = mask ? [query, key, value, mask] : [query, key, value];
  return makeNode("attention", inputs, { scale }, outputs)[0] as Tensor;
}

/**
 * Log-probability of one token per row, without a one-hot: log softmax(logits)[n, ids[n]].
 *
 * @param logits [N, V]
 * @param ids [N], int64, in [0, V)
 * @returns [N], nats
 */
export function tokenLogProbs(logits: Tensor, ids: Tensor): Tensor {
  if (logits.shape.length !== 2 || ids.shape.length !== 1 || ids.shape[0] !== logits.shape[0])
    throw new ShapeError(
      `tokenLogProbs: logits [N, V] and ids [N] are required, got ${showShape(logits.shape)} and ${showShape(ids.shape)}`,
    );
  const outputs = [
    { dtype: logits.dtype, shape: [logits.shape[0] as Dim, 1] },
    { dtype: logits.dtype, shape: logits.shape },
  ];
  const [picked] = makeNode("tokenLogProbs", [logits, expandDims(cast(ids, "int64"), 1)], {}, outputs);
  return reshape(picked as Tensor, [logits.shape[0] as Dim]);
}

/**
 * Mean cross-entropy over the labels that are not `ignore` (-100), as PyTorch counts it.
 *
 * @param logits [N, V]
 * @param labels [N], int64
 * @returns a scalar, nats per token; 0 when no label counts
 */
export function crossEntropy(logits: Tensor, labels: Tensor, { ignore = -100 } = {}): Tensor {
  const ignored = equal(labels, ignore);
  const logProbs = tokenLogProbs(logits, where(ignored, 0, labels));
  const weights = cast(not(ignored), logits.dtype);
  return neg(div(sum(mul(logProbs, weights)), maximum(sum(weights), 1)));
}
