/**
 * A reward model as a function: one number for a row of tokens, from the hidden states of a decoder or an encoder.
 *
 *     r = head(pool(hidden states))
 *
 * These are raw scores; `config.mean` and `config.std` (see normalisation.ts) are applied by the scorer.
 */
import {
  arange,
  argmax,
  cast,
  type Dim,
  expandDims,
  maximum,
  reshape,
  sub,
  sum,
  type Tensor,
  type Tree,
  zerosLike,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { hiddenStates, scoresOf, tokenSpec } from "../models/model.ts";
import { pooled, poolingOf, type Spans } from "./pooling.ts";

/** R rows of T tokens, padded on the right; what the padding is does not matter. */
export interface RowBatch {
  /** [R, T] int64 */
  readonly input_ids: Tensor;
  /** [R] int64: tokens of each row */
  readonly lengths: Tensor;
}

/** Rows padded on either side, with a mask as tokenizers make it. */
export interface MaskedBatch {
  /** [R, T] int64 */
  readonly input_ids: Tensor;
  /** [R, T] int64: 1 for tokens, which stand together, 0 for padding */
  readonly attention_mask: Tensor;
}

/** The specification of a `RowBatch`, with `rows` of them. */
export const rowBatchSpec = (rows: Dim = "R") => ({
  input_ids: tokenSpec([rows, "T"]),
  lengths: tokenSpec([rows]),
});

/** Raw scores [R] of rows of tokens, by a model with one score. */
export const rewardsOf = (config: ModelConfig, params: Tree<Tensor>, batch: RowBatch | MaskedBatch): Tensor =>
  reshape(headRewardsOf(config, params, batch), [batch.input_ids.shape[0] as Dim]);

/** Raw scores [R, K] of rows of tokens, by a model with K scores. */
export const headRewardsOf = (
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: RowBatch | MaskedBatch,
): Tensor => scoresOf(config, params, pooledStates(config, params, batch));

/** What the scores of rows are read from: the pooled hidden states [R, C]. */
export function pooledStates(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: RowBatch | MaskedBatch,
): Tensor {
  const [rows, length] = batch.input_ids.shape as [Dim, Dim];
  const { spans, ...tokens } = "lengths" in batch ? padded(batch) : masked(batch);
  const hidden = hiddenStates(config, params, tokens); // [R T, C]
  return pooled(poolingOf(config), hidden, rows, length, spans);
}

const padded = ({ input_ids, lengths }: RowBatch) => ({
  input_ids,
  lengths,
  spans: { first: zerosLike(lengths), length: lengths } satisfies Spans,
});

/** Positions count from a row's first token, wherever it stands. */
function masked({ input_ids, attention_mask }: MaskedBatch) {
  const first = argmax(cast(attention_mask, "float32"), -1);
  const place = expandDims(arange(input_ids.shape[1] as Dim), 0);
  return {
    input_ids,
    segment_ids: attention_mask,
    position_ids: maximum(sub(place, expandDims(first, 1)), 0),
    spans: { first, length: sum(attention_mask, -1) } satisfies Spans,
  };
}
