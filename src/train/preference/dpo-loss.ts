/**
 * The loss of direct preference optimisation over a batch of pairs, and its metrics under TRL's names.
 *
 *     L = 1/n sum loss(log pi/ref (chosen), log pi/ref (rejected)) + alpha NLL(chosen)        n: pairs of the whole batch
 *
 * with NLL(y) = - log pi(y | x) / |y|, the added term of Pang et al. 2024 (iterative reasoning preference
 * optimisation), eq. 2. An implicit reward is beta log pi/ref.
 */
import {
  add,
  cast,
  type Dim,
  div,
  greater,
  maximum,
  mul,
  neg,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  type Tree,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { Loss } from "../loop/step.ts";
import { responseLogProbs } from "./preference-batch.ts";
import type { PreferenceLoss } from "./preference-losses.ts";

export interface DpoLossOptions {
  readonly loss: PreferenceLoss;
  readonly beta: number;
  readonly labelSmoothing?: number;
  readonly rpoAlpha?: number | undefined;
}

/** Loss over a batch of `dpoSpec` and `num_items`, the pairs of the whole step. */
export const dpoLoss =
  (config: ModelConfig, { loss, beta, labelSmoothing = 0, rpoAlpha = 0 }: DpoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const logps = sidesOf(responseLogProbs(config, params, batch));
    const referenceLogps = sidesOf(batch.reference as Tensor);
    const lengths = sidesOf(batch.lengths as Tensor);
    const chosen = sub(logps.chosen, referenceLogps.chosen);
    const rejected = sub(logps.rejected, referenceLogps.rejected);
    const margin = sub(chosen, rejected);
    const mean = (x: Tensor) => div(sum(x), batch.num_items as Tensor);

    const preference = mean(
      loss({ chosen, rejected, margin, logps, referenceLogps, lengths, beta, labelSmoothing }),
    );
    const nll = mean(neg(div(logps.chosen, maximum(lengths.chosen, 1))));
    return {
      loss: rpoAlpha > 0 ? add(preference, mul(nll, rpoAlpha)) : preference,
      metrics: {
        "rewards/chosen": mul(mean(chosen), beta),
        "rewards/rejected": mul(mean(rejected), beta),
        "rewards/margins": mul(mean(margin), beta),
        "rewards/accuracies": mean(cast(greater(chosen, rejected), margin.dtype)),
        "logps/chosen": mean(logps.chosen),
        "logps/rejected": mean(logps.rejected),
        ...(rpoAlpha > 0 && { nll_loss: nll }),
      },
    };
  };

/** The columns of [B, 2]. */
function sidesOf(x: Tensor): Record<"chosen" | "rejected", Tensor> {
  const column = (i: number) => reshape(slice(x, 1, i, i + 1), [x.shape[0] as Dim]);
  return { chosen: column(0), rejected: column(1) };
}
