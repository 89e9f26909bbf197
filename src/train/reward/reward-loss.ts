/**
 * The loss of a reward model over a batch of pairs: both responses in one pass, and of each only the pooled hidden
 * state goes through the head.
 */
import { type Dim, gather, matmul, reshape, slice, type Tensor, type Tree } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { hiddenStates, scoresOf, type TokenBatch } from "../../models/model.ts";
import { type PairLossOptions, pairLoss } from "../../reward/bradley-terry.ts";
import type { Loss } from "../loop/step.ts";

/** Loss over a batch of `rewardSpec` (reward-batch.ts) and `num_items`, the pairs of the whole step. */
export const rewardLoss =
  (config: ModelConfig, options: PairLossOptions = {}): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { places, weights, margin, tie, num_items } = batch as Record<string, Tensor | undefined>;
    const hidden = hiddenStates(config, params, batch as unknown as TokenBatch); // [R T, C]
    const read = weights
      ? matmul(reshape(weights, ["2*B", hidden.shape[0] as Dim]), hidden)
      : gather(hidden, reshape(places as Tensor, ["2*B"])); // [2 B, C]
    const sides = reshape(scoresOf(config, params, read), [2, "B"]);
    const [chosen, rejected] = [0, 1].map((side) => reshape(slice(sides, 0, side, side + 1), ["B"])) as [
      Tensor,
      Tensor,
    ];
    return pairLoss({ chosen, rejected, margin, tie }, num_items as Tensor, options);
  };
