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
  gather,
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
  const hidden = hiddenStates(config, params, batch as unknown as TokenBatch); // [B T, C]
  const { rows, ids, weights } = labelledRows(hidden, batch);
  const { logProbs, best } = logitFigures(config, params, rows, { rows: { ids } }, (logits, own) => {
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

/** The hidden states that predict labels, [N, C]: those that the batch names, or all, with weight 0 where none is. */
function labelledRows(
  hidden: Tensor,
  { places, tokens, labels }: Tree<Tensor>,
): Record<"rows" | "ids" | "weights", Tensor> {
  if (places && tokens) {
    const rows = gather(hidden, places as Tensor);
    return { rows, ids: tokens as Tensor, weights: full([rows.shape[0] as Dim], 1, hidden.dtype) };
  }
  const flat = reshape(labels as Tensor, [-1]);
  const ignored = equal(flat, -100);
  return { rows: hidden, ids: where(ignored, 0, flat), weights: cast(not(ignored), hidden.dtype) };
}

/**
 * Loss over a batch {input_ids, labels[, position_ids, segment_ids]}, all [B, T] int64, and [num_items], float32 [].
 * Instead of `labels` there may be `tokens` [N], the labels that count, and `places` [N], which of the hidden states
 * [B T] predict them: only those reach the vocabulary.
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
