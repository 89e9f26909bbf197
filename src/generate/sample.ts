/**
 * Choosing a token inside the graph: temperature, top-k, top-p, min-p, repetition penalty, arg-max.
 *
 * Every filter is a threshold on the scores, so that nothing of the size of the vocabulary has to be sorted unless
 * top-p without top-k asks for it. A token is drawn by inverting the distribution function in two levels: sums of
 * blocks of about sqrt(V) tokens, then the tokens of one block. Filters come in the order of transformers:
 * repetition penalty, temperature, top-k, top-p, min-p.
 */
import {
  add,
  arange,
  argmax,
  cast,
  clip,
  cumsum,
  type Dim,
  div,
  exp,
  expandDims,
  full,
  gather,
  gatherAlong,
  greaterEqual,
  less,
  lessEqual,
  log,
  max,
  maximum,
  minimum,
  mul,
  pad,
  reshape,
  scatterAddAlong,
  slice,
  squeeze,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  topK,
  where,
} from "../graph/index.ts";

/** Which operations a sampling graph has; the values of the settings are inputs, but for k. */
export interface SamplingShape {
  readonly greedy: boolean;
  readonly temperature: boolean;
  readonly topK: number | undefined;
  readonly topP: boolean;
  readonly minP: boolean;
  readonly repetitionPenalty: boolean;
}

/** Inputs of a sampling graph for M draws, by name. */
export function samplingSpecs(shape: SamplingShape): Record<string, TensorSpec> {
  const number: TensorSpec = { dtype: "float32", shape: [] };
  return {
    ...(!shape.greedy && { uniforms: { dtype: "float32", shape: ["M"] } as const }),
    ...(shape.temperature && { inverse_temperature: number }),
    ...(shape.topP && { top_p: number }),
    ...(shape.minP && { log_min_p: number }),
    ...(shape.repetitionPenalty && {
      penalty: number,
      // The distinct tokens of each draw's row so far, padded, and how many they are.
      seen: { dtype: "int64", shape: ["M", "R"] } as const,
      seen_count: { dtype: "int64", shape: ["M"] } as const,
    }),
  };
}

export interface Drawn {
  /** [M], int64 */
  readonly tokens: Tensor;
  /** [M], nats: log softmax(logits / T) before penalty and filters. */
  readonly logprobs: Tensor;
  /** [M], nats: under the distribution that was drawn from; 0 for arg-max. */
  readonly sampledLogprobs: Tensor;
}

const kept = { keepDims: true };

/** Draws a token for each row of `logits` [M, V]. */
export function drawTokens(
  logits: Tensor,
  shape: SamplingShape,
  inputs: Readonly<Record<string, Tensor>>,
): Drawn {
  const m = logits.shape[0] as Dim;
  const given = (name: string) => inputs[name] as Tensor;
  const heated = (x: Tensor) => (shape.temperature ? mul(x, given("inverse_temperature")) : x);
  const raw = heated(logits);
  const scores = shape.repetitionPenalty ? heated(penalised(logits, inputs)) : raw;
  const plain = exponentials(raw);
  const choose = (tokens: Tensor, sampledLogprobs?: (column: Tensor) => Tensor): Drawn => {
    const column = expandDims(tokens, 1);
    const logprobs = squeeze(sub(sub(gatherAlong(raw, column), plain.highest), log(plain.total)), 1);
    const after = sampledLogprobs ? squeeze(sampledLogprobs(column), 1) : logprobs;
    return { tokens, logprobs, sampledLogprobs: after };
  };
  if (shape.greedy) return choose(argmax(scores, -1), () => full([m, 1], 0));
  const weights = scores === raw ? plain : exponentials(scores);
  const threshold = lowestKept(scores, weights, shape, inputs);
  const drawnFrom = threshold ? where(greaterEqual(scores, threshold), weights.values, 0) : weights.values;
  const { tokens, total } = invert(drawnFrom, given("uniforms"));
  if (drawnFrom === plain.values) return choose(tokens);
  return choose(tokens, (column) => sub(sub(gatherAlong(scores, column), weights.highest), log(total)));
}

interface Exponentials {
  readonly highest: Tensor; // [M, 1]
  readonly values: Tensor; // [M, V], exp(x - highest)
  readonly total: Tensor; // [M, 1]
}

function exponentials(x: Tensor): Exponentials {
  const highest = max(x, -1, kept);
  const values = exp(sub(x, highest));
  return { highest, values, total: sum(values, -1, kept) };
}

/** Scores of tokens that occurred, divided by the penalty where positive and multiplied where negative (Keskar et al. 2019). */
function penalised(logits: Tensor, { penalty, seen, seen_count }: Readonly<Record<string, Tensor>>): Tensor {
  const [p, ids, count] = [penalty as Tensor, seen as Tensor, seen_count as Tensor];
  const width = ids.shape[1] as Dim;
  const old = gatherAlong(logits, ids); // [M, R]
  const change = sub(where(less(old, 0), mul(old, p), div(old, p)), old);
  const valid = less(expandDims(arange(width), 0), expandDims(count, 1));
  return scatterAddAlong(logits, ids, where(valid, change, 0));
}

/** The lowest score that passes all filters, [M, 1]; undefined when there is no filter. */
function lowestKept(
  scores: Tensor,
  weights: Exponentials,
  shape: SamplingShape,
  inputs: Readonly<Record<string, Tensor>>,
): Tensor | undefined {
  const size = scores.shape[1] as number;
  const k = Math.min(shape.topK ?? size, size);
  const thresholds: Tensor[] = [];
  if (shape.topP) {
    // The smallest set of most likely tokens, among the k best, whose probability reaches top_p.
    const { values } = topK(scores, k);
    const likely = exp(sub(values, weights.highest));
    const p = div(likely, sum(likely, -1, kept));
    const before = cumsum(p, 1, { exclusive: true });
    const count = sum(cast(less(before, inputs.top_p as Tensor), "int64"), -1, kept); // [M, 1], at least 1
    thresholds.push(gatherAlong(values, maximum(sub(count, 1), 0)));
  } else if (k < size) thresholds.push(slice(topK(scores, k).values, 1, k - 1, k));
  if (shape.minP) thresholds.push(add(weights.highest, inputs.log_min_p as Tensor));
  return thresholds.length > 0 ? thresholds.reduce((a, b) => maximum(a, b)) : undefined;
}

/** The first token whose running sum of weights exceeds u times their total, for `weights` [M, V] and u [M]. */
export function invert(weights: Tensor, u: Tensor): { tokens: Tensor; total: Tensor } {
  const [m, size] = weights.shape as [Dim, number];
  const width = 2 ** Math.ceil(Math.log2(Math.sqrt(size)));
  const blocks = Math.ceil(size / width);
  const padded = reshape(pad(weights, 1, 0, blocks * width - size), [m, blocks, width]);
  const sums = sum(padded, -1); // [M, blocks]
  const running = cumsum(sums, 1);
  const total = slice(running, 1, blocks - 1, blocks);
  const target = mul(expandDims(u, 1), total);
  const block = minimum(countUpTo(running, target), blocks - 1); // [M, 1]
  const mass = gatherAlong(sums, block);
  const flat = add(mul(expandDims(arange(m), 1), blocks), block);
  const within = cumsum(gather(reshape(padded, [-1, width]), reshape(flat, [m])), 1); // [M, width]
  // Rounding must neither pass the block's last token nor stop before its first one of positive weight.
  const rest = sub(target, sub(gatherAlong(running, block), mass));
  const end = mul(slice(within, 1, width - 1, width), 1 - 2 ** -22);
  const place = countUpTo(within, clip(rest, 0, end));
  return { tokens: reshape(add(mul(block, width), place), [m]), total };
}

/** How many elements of each rising row are at most the row's limit, [M, 1]. */
const countUpTo = (rising: Tensor, limit: Tensor): Tensor =>
  sum(cast(lessEqual(rising, limit), "int64"), -1, kept);
