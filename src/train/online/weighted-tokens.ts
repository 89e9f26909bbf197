/**
 * The loss of a policy gradient: log-probabilities of sampled tokens, each with a weight that has no gradient.
 *
 *     L = 1/n sum_t w_t log pi(t)          n: responses (or episodes) of the whole update
 *
 * With w = -A it is REINFORCE (Williams 1992). A token with weight 0, such as one that an environment said, teaches nothing.
 */
import {
  type Dim,
  div,
  gather,
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
import { logitFigures } from "../../models/model.ts";
import {
  choosingPlaces,
  hiddenOf,
  responseTokens,
  rowSpecs,
  type TokenSequence,
  tokenRows,
} from "../../models/response-rows.ts";
import type { Loss } from "../loop/step.ts";

const weightSpec: TensorSpec = { dtype: "float32", shape: ["N"] as Dim[] };
export const weightedSpec = { ...rowSpecs, weights: weightSpec };

/** 1/n sum_t w_t log pi(t), n = `num_items` responses. */
export const weightedLoss =
  (config: ModelConfig): Loss =>
  (params, batch) => {
    const { input_ids, places, tokens, inverse_temperature, weights } = batch as Record<
      keyof typeof weightedSpec,
      Tensor
    >;
    const hidden = hiddenOf(config, params, input_ids);
    const rows = { rows: { tokens }, scale: inverse_temperature };
    const { logProbs } = logitFigures(config, params, gather(hidden, places), rows, (logits, own) => ({
      logProbs: tokenLogProbs(logits, own.tokens),
    }));
    return { loss: div(sum(mul(logProbs, weights)), batch.num_items as Tensor) };
  };

/** A batch of `weightedSpec`. */
export function weightedBatch(
  rows: readonly TokenSequence[],
  weights: readonly Float64Array[],
  temperature: number,
): Record<keyof typeof weightedSpec, HostArray> & Tree<HostArray> {
  const input_ids = tokenRows(rows);
  const list = (values: readonly number[]) => hostArray("int64", [values.length], values);
  const flat = weights.flatMap((row) => Array.from(row));
  return {
    input_ids,
    places: list(choosingPlaces(rows, input_ids.shape[1] as number)),
    tokens: list(responseTokens(rows)),
    inverse_temperature: hostArray("float32", [], [1 / temperature]),
    weights: hostArray("float32", [flat.length], flat),
  };
}
