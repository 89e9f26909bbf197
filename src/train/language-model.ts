/**
 * The loss of next-token prediction, the mean over the labels that count:
 *
 *     L = - 1/|labels| sum log p(label_t | tokens up to t)
 *
 * Labels stand under the token that predicts them (already shifted); -100 does not count.
 */
import { crossEntropy, reshape, type Tensor, type Tree } from "../graph/index.ts";
import type { ModelConfig } from "../models/config.ts";
import { hiddenStates, logitsOf, type TokenBatch } from "../models/model.ts";
import type { Loss } from "./step.ts";

/** Loss over a batch {input_ids, labels[, position_ids, segment_ids]}, all [B, T] int64. */
export const languageModelLoss =
  (config: ModelConfig): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const logits = logitsOf(config, params, hiddenStates(config, params, batch as unknown as TokenBatch));
    return { loss: crossEntropy(logits, reshape(batch.labels as Tensor, [-1])) };
  };
