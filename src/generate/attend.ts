/**
 * Attention over what was cached and what is new, without copying the cache.
 *
 * The cache of a layer is a read-only input. Scores against each part (a shared prompt, the row's own cache, the
 * new tokens themselves) are separate products; one softmax over the joined scores makes them one attention.
 * The new keys and values are results of the graph, and the host writes them behind the others.
 */

import { multiplyDims } from "../graph/dims.ts";
import {
  add,
  and,
  arange,
  concat,
  constant,
  type Dim,
  expand,
  expandDims,
  greaterEqual,
  hostArray,
  less,
  matmul,
  mul,
  reshape,
  scalar,
  slice,
  softmax,
  split,
  sub,
  sum,
  type Tensor,
  transpose,
  where,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Attend } from "../models/families/sequence.ts";

/** What a row has behind it. */
export interface Past {
  /** Own cache of each layer, [B, G, S, D]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Valid tokens in the own cache, [B], int64. */
  readonly lengths: Tensor;
  /** The same for P prompts of U tokens that N rows each share; B = P N, a prompt's rows together. */
  readonly shared?: { readonly keys: readonly Tensor[]; readonly values: readonly Tensor[] };
}

const masked = -1e30;

/** Attention of T new tokens a row at `positions` [B, T] to themselves and to the past; `added` gets the new rows. */
export function cachedAttention(
  config: ModelConfig,
  positions: Tensor,
  past: Past,
  added: { key: Tensor; value: Tensor }[],
): Attend {
  const masks = new Map<number | undefined, Tensor>();
  const maskFor = (window: number | undefined): Tensor => {
    const mask = masks.get(window) ?? visibility(positions, past, window);
    masks.set(window, mask);
    return mask;
  };
  const scale = config.scaleAttention ? scaleOf(config.headDim) : undefined;
  return (layer, query, key, value) => {
    added[layer] = { key, value };
    const [b, h, t, d] = query.shape as [Dim, number, Dim, number];
    const g = key.shape[1] as number;
    const rows = multiplyDims(h / g, t); // the query heads of a group join into the rows of one product
    const q = reshape(scale ? mul(query, scale) : query, [b, g, rows, d]);
    const parts = [
      ...(past.shared ? [sharedPart(past.shared.keys[layer]!, past.shared.values[layer]!)] : []),
      ownPart(past.keys[layer]!, past.values[layer]!),
      (t === 1 ? itself : ownPart)(key, value),
    ];
    const scores = concat(
      parts.map((part) => part.scores(q)),
      -1,
    );
    const total = scores.shape.at(-1) as Dim;
    const mask = maskFor(config.layerWindows[layer]); // [B, T, total]
    const apart = h === g ? [b, g, t, total] : [b, g, h / g, t, total];
    const maskShape = h === g ? [b, 1, t, total] : [b, 1, 1, t, total];
    const p = softmax(add(reshape(scores, apart), reshape(mask, maskShape)));
    const sizes = parts.map((part) => part.size);
    const weights = split(reshape(p, [b, g, rows, total]), sizes, -1);
    const seen = parts.map((part, i) => part.values(weights[i]!)).reduce((x, y) => add(x, y));
    return reshape(seen, [b, h, t, d]);
  };
}

/**
 * 1 / sqrt(D), D times: the runtime would take a single number into the product as its factor, and its fast kernel
 * for a single row has no factor.
 */
const scaleOf = (width: number): Tensor =>
  constant(hostArray("float32", [width], Array(width).fill(1 / Math.sqrt(width))));

interface Part {
  readonly size: Dim;
  /** [B, G, R, D] to [B, G, R, size] */
  scores(query: Tensor): Tensor;
  /** [B, G, R, size] to [B, G, R, D] */
  values(weights: Tensor): Tensor;
}

const ownPart = (key: Tensor, value: Tensor): Part => ({
  size: value.shape[2] as Dim,
  scores: (query) => matmul(query, key, { transposeB: true }),
  values: (weights) => matmul(weights, value),
});

/** A token's own key and value, which stands alone: products of single rows cost more than what they compute. */
const itself = (key: Tensor, value: Tensor): Part => ({
  size: 1,
  scores: (query) => sum(mul(query, key), -1, { keepDims: true }),
  values: (weights) => mul(weights, value),
});

/** The rows of one prompt become rows of one product with its keys, which are read once for all of them. */
function sharedPart(key: Tensor, value: Tensor): Part {
  const [p, g, size] = value.shape as [Dim, number, Dim];
  const samples: Dim = "N";
  const across = (x: Tensor, right: Tensor): Tensor => {
    const [b, , rows, inner] = x.shape as [Dim, number, Dim, Dim];
    const joined = transpose(reshape(x, [p, samples, g, rows, inner]), [0, 2, 1, 3, 4]);
    const product = matmul(reshape(joined, [p, g, multiplyDims(samples, rows), inner]), right);
    const outer = product.shape[3] as Dim;
    const parted = transpose(reshape(product, [p, g, samples, rows, outer]), [0, 2, 1, 3, 4]);
    return reshape(parted, [b, g, rows, outer]);
  };
  return {
    size,
    scores: (query) => across(query, transpose(key)),
    values: (weights) => across(weights, value),
  };
}

/**
 * 0 where a query sees a key, -1e30 elsewhere: [B, T, U + S + T], the parts in the order of `cachedAttention`.
 * An own cache starts at position `positions[b, 0] - lengths[b]`, which is also the length of a shared prompt.
 */
function visibility(positions: Tensor, past: Past, window: number | undefined): Tensor {
  const [b, t] = positions.shape as [Dim, Dim];
  const own = past.values[0]!.shape[2] as Dim;
  const start = sub(slice(positions, 1, 0, 1), expandDims(past.lengths, 1)); // [B, 1]
  const at = expandDims(positions, 2); // [B, T, 1]
  const near = (seen: Tensor, keyPosition: Tensor): Tensor =>
    window === undefined ? seen : and(seen, less(sub(at, keyPosition), window));
  const parts: Tensor[] = [];
  const row = (size: Dim) => reshape(arange(size), [1, 1, size]);
  if (past.shared) {
    const size = past.shared.values[0]!.shape[2] as Dim;
    parts.push(near(less(row(size), expandDims(start, 2)), row(size)));
  }
  const index = row(own);
  parts.push(near(less(index, reshape(past.lengths, [b, 1, 1])), add(index, expandDims(start, 2))));
  const [to, from] = [reshape(arange(t), [1, t, 1]), row(t)];
  const causal = greaterEqual(to, from);
  parts.push(window === undefined ? causal : and(causal, less(sub(to, from), window)));
  const floats = parts.map((visible) => {
    const size = visible.shape[2] as Dim;
    return expand(where(visible, scalar(0), scalar(masked)), [b, t, size]);
  });
  return concat(floats, 2);
}

/** The new keys and values of all layers as one result, [2 L B, G, T, D]: keys, then values, of one layer after the other. */
export const newRows = (added: readonly { key: Tensor; value: Tensor }[]): Tensor =>
  concat(
    added.flatMap(({ key, value }) => [key, value]),
    0,
  );
