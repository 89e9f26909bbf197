/**
 * The loss of a policy gradient: log-probabilities of sampled tokens, each with a weight that has no gradient.
 *
 *     L = 1/n sum_t w_t log pi(t)          n: responses (or episodes) of the whole update
 *
 * With w = -A it is REINFORCE (Williams 1992). A token with weight 0, such as one that an environment said, teaches nothing.
 */

import { responseArrays, responseSpecs, type TokenSequence } from "../../data/response-rows.ts";
import {
  div,
  type HostArray,
  hostArray,
  mul,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { hiddenStates, logitFigures } from "../../models/model.ts";
import type { Loss } from "../loop/step.ts";

/** Weights of the response tokens, [M], beside them. */
export const weightedSpec = {
  ...responseSpecs,
  weights: { dtype: "float32", shape: ["M"] },
  inverse_temperature: { dtype: "float32", shape: [] },
} satisfies Tree<TensorSpec>;

/** 1/n sum_t w_t log pi(t), n = `num_items` responses. */
export const weightedLoss =
  (config: ModelConfig): Loss =>
  (params, batch) => {
    const { tokens, inverse_temperature, weights } = batch as Record<keyof typeof weightedSpec, Tensor>;
    const hidden = hiddenStates(config, params, batch.ragged as unknown as RaggedBatch); // [M, C]
    const rows = { rows: { tokens }, scale: inverse_temperature };
    const { logProbs } = logitFigures(config, params, hidden, rows, (logits, own) => ({
      logProbs: tokenLogProbs(logits, own.tokens),
    }));
    return { loss: div(sum(mul(logProbs, weights)), batch.num_items as Tensor) };
  };

/** A batch of `weightedSpec`. */
export function weightedBatch(
  rows: readonly TokenSequence[],
  weights: readonly Float64Array[],
  temperature: number,
): Tree<HostArray> {
  const flat = weights.flatMap((row) => Array.from(row));
  return {
    ...responseArrays(rows),
    inverse_temperature: hostArray("float32", [], [1 / temperature]),
    weights: hostArray("float32", [flat.length], flat),
  };
}
