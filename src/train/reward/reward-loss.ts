/**
 * The loss of a reward model over a batch of pairs: both responses in one pass, and of each only the pooled hidden
 * state goes through the head. A model with several heads, an ensemble that shares its backbone, has the mean of their
 * losses; its metrics are those of the heads' mean score, and `disagreement` is the variance over the heads.
 */
import {
  addAll,
  type Dim,
  div,
  gather,
  matmul,
  mul,
  reshape,
  slice,
  sum,
  type Tensor,
  type Tree,
  transpose,
  variance,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { hiddenStates, scoresOf, type TokenBatch } from "../../models/model.ts";
import { type PairLossOptions, pairLoss } from "../../reward/bradley-terry.ts";
import type { Loss } from "../loop/step.ts";

/** Loss over a batch of `rewardSpec` (reward-batch.ts) and `num_items`, the pairs of the whole step. */
export const rewardLoss =
  (config: ModelConfig, options: PairLossOptions = {}): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { places, weights, margin, tie, num_items } = batch as Record<string, Tensor | undefined>;
    const items = num_items as Tensor;
    const hidden = hiddenStates(config, params, batch as unknown as TokenBatch); // [R T, C]
    const read = weights
      ? matmul(reshape(weights, ["2*B", hidden.shape[0] as Dim]), hidden)
      : gather(hidden, reshape(places as Tensor, ["2*B"])); // [2 B, C]
    const heads = config.numLabels as number;
    const scores = reshape(transpose(scoresOf(config, params, read), [1, 0]), [heads, 2, "B"]); // [K, 2, B]
    const side = (of: Tensor, at: number) => reshape(slice(of, -2, at, at + 1), ["B"]);
    const lossOf = (sides: Tensor) =>
      pairLoss({ chosen: side(sides, 0), rejected: side(sides, 1), margin, tie }, items, options);
    const members = Array.from({ length: heads }, (_, k) => reshape(slice(scores, 0, k, k + 1), [2, "B"]));
    if (members.length === 1) return lossOf(members[0] as Tensor);
    const mean = mul(addAll(members), 1 / heads);
    return {
      loss: mul(addAll(members.map((member) => lossOf(member).loss)), 1 / heads),
      metrics: {
        ...lossOf(mean).metrics,
        disagreement: div(sum(variance(scores, 0)), mul(items, 2)),
      },
    };
  };
