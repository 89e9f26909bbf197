/**
 * The loss of next-token prediction, the mean over the labels that count:
 *
 *     L = - 1/n sum log p(label_t | tokens up to t)
 *
 * Labels stand under the token that predicts them (already shifted); -100 does not count. n is the number of labels,
 * or `num_items` of the batch: when a step is cut into micro-batches, that of all of them, so that their losses and
 * gradients add up to those of the whole.
 */
import {
  cast,
  type Dim,
  div,
  equal,
  expandDims,
  full,
  gatherAlong,
  greaterEqual,
  max,
  maximum,
  mul,
  neg,
  not,
  reshape,
  sum,
  type Tensor,
  type Tree,
  tokenLogProbs,
  where,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { hiddenStates, logitFigures, type TokenBatch } from "../../models/model.ts";
import type { Loss } from "./step.ts";

export interface LanguageModelLossOptions {
  /** Adds the metric `mean_token_accuracy`: the share of labels that have the largest logit. Costs a pass over the logits. */
  accuracy?: boolean;
}

/** Sums over the labels of a batch: `nll` in nats, `correct` (the label has the largest logit) and `count`. */
export function labelSums(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
  { accuracy = true }: LanguageModelLossOptions = {},
): Record<"nll" | "count", Tensor> & { correct?: Tensor } {
  const { hidden, ids, weights } = labelledStates(config, params, batch);
  const { logProbs, best } = logitFigures(config, params, hidden, { rows: { ids } }, (logits, own) => {
    const isBest = () =>
      greaterEqual(gatherAlong(logits, expandDims(own.ids, 1)), max(logits, -1, { keepDims: true })); // [N, 1]
    return {
      logProbs: tokenLogProbs(logits, own.ids),
      ...(accuracy && { best: cast(reshape(isBest(), own.ids.shape), logits.dtype) }),
    } as Record<"logProbs" | "best", Tensor>;
  });
  const nll = neg(sum(mul(logProbs, weights)));
  const count = sum(weights);
  return { nll, count, ...(accuracy && { correct: sum(mul(best, weights)) }) };
}

/** The hidden states that predict labels, [N, C]: those that ragged rows read, or all, with weight 0 where none is. */
function labelledStates(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
): Record<"hidden" | "ids" | "weights", Tensor> {
  if (batch.ragged) {
    const hidden = hiddenStates(config, params, batch.ragged as unknown as RaggedBatch); // [M, C]
    return {
      hidden,
      ids: batch.tokens as Tensor,
      weights: full([hidden.shape[0] as Dim], 1, hidden.dtype),
    };
  }
  const hidden = hiddenStates(config, params, batch as unknown as TokenBatch); // [B T, C]
  const flat = reshape(batch.labels as Tensor, [-1]);
  const ignored = equal(flat, -100);
  return { hidden, ids: where(ignored, 0, flat), weights: cast(not(ignored), hidden.dtype) };
}

/**
 * Loss over a batch {input_ids, labels[, position_ids, segment_ids]}, all [B, T] int64, and [num_items], float32 [].
 * Or {ragged, tokens [M][, num_items]}: ragged rows, of which what predicts a label is read, and those labels.
 */
export const languageModelLoss =
  (config: ModelConfig, { accuracy = false }: LanguageModelLossOptions = {}): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { nll, count, correct } = labelSums(config, params, batch, { accuracy });
    const items = (batch.num_items as Tensor | undefined) ?? maximum(count, 1);
    return {
      loss: div(nll, items),
      ...(correct && { metrics: { mean_token_accuracy: div(correct, items) } }),
    };
  };
