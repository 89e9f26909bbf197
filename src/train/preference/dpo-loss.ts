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
  div,
  expand,
  maximum,
  mul,
  neg,
  type Operand,
  sub,
  sum,
  type Tensor,
  type Tree,
  zerosLike,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { Loss } from "../loop/step.ts";
import { type FDivergence, fDivergences } from "./divergences.ts";
import { lossDefaults } from "./loss-choice.ts";
import { responseFigures, sidesOf } from "./preference-batch.ts";
import type { PreferenceLoss } from "./preference-losses.ts";
import { rewardMetrics } from "./reward-metrics.ts";

export interface DpoLossOptions {
  readonly loss: PreferenceLoss;
  readonly beta: number;
  readonly labelSmoothing?: number;
  readonly rpoAlpha?: number | undefined;
  readonly fDivergenceType?: FDivergence;
  readonly fAlphaDivergenceCoef?: number;
  readonly discopopTau?: number;
  readonly useWeighting?: boolean;
}

/** Loss over a batch of `dpoSpec` and `num_items`, the pairs of the whole step; `beta` of the batch wins where it is. */
export const dpoLoss =
  (config: ModelConfig, options: DpoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { loss, rpoAlpha = 0 } = options;
    const { labelSmoothing, discopopTau, fDivergenceType, fAlphaDivergenceCoef, useWeighting } = {
      ...lossDefaults,
      ...options,
    };
    const beta: Operand = (batch.beta as Tensor | undefined) ?? options.beta;
    const figures = responseFigures(config, params, batch, { weighted: useWeighting });
    const logps = sidesOf(figures.logps);
    const whole = sidesOf(figures.whole);
    // without a reference log-ratios are log-probabilities
    const referenceLogps = sidesOf((batch.reference as Tensor | undefined) ?? zerosLike(figures.logps));
    const lengths = sidesOf(batch.lengths as Tensor);
    const chosen = sub(logps.chosen, referenceLogps.chosen);
    const rejected = sub(logps.rejected, referenceLogps.rejected);
    const score = (logRatio: Tensor) => fDivergences[fDivergenceType](logRatio, fAlphaDivergenceCoef);
    const scores = { chosen: score(chosen), rejected: score(rejected) };
    const margin = sub(scores.chosen, scores.rejected);
    const mean = (x: Tensor) => div(sum(x), batch.num_items as Tensor);

    const losses = loss({
      ...{ chosen, rejected, scores, margin, logps, referenceLogps, whole, lengths },
      ...{ beta, labelSmoothing, discopopTau },
    });
    const weights = figures.weights && sidesOf(figures.weights);
    const preference = mean(weights ? mul(losses, mul(weights.chosen, weights.rejected)) : losses);
    const nll = mean(neg(div(whole.chosen, maximum(lengths.chosen, 1))));
    return {
      loss: rpoAlpha > 0 ? add(preference, mul(nll, rpoAlpha)) : preference,
      metrics: {
        ...rewardMetrics({ chosen: mul(chosen, beta), rejected: mul(rejected, beta) }, logps, mean),
        ...(rpoAlpha > 0 && { nll_loss: nll }),
        ...Object.fromEntries(
          (["beta", "kl"] as const).flatMap((name) =>
            batch[name] ? [[name, mean(expand(batch[name] as Tensor, chosen.shape))]] : [],
          ),
        ),
      },
    };
  };
