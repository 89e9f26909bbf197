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
  div,
  equal,
  expandDims,
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
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { hiddenStates, logitsOf, type TokenBatch } from "../models/model.ts";
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
  const logits = logitsOf(config, params, hiddenStates(config, params, batch as unknown as TokenBatch)); // [B T, V]
  const labels = reshape(batch.labels as Tensor, [-1]);
  const ignored = equal(labels, -100);
  const ids = where(ignored, 0, labels);
  const weights = cast(not(ignored), logits.dtype);
  const count = sum(weights);
  const nll = neg(sum(mul(tokenLogProbs(logits, ids), weights)));
  if (!accuracy) return { nll, count };
  const best = greaterEqual(gatherAlong(logits, expandDims(ids, 1)), max(logits, -1, { keepDims: true })); // [B T, 1]
  return { nll, count, correct: sum(mul(cast(reshape(best, [-1]), logits.dtype), weights)) };
}

/** Loss over a batch {input_ids, labels[, position_ids, segment_ids]}, all [B, T] int64, and [num_items], float32 []. */
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
