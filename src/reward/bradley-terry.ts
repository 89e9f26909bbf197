/**
 * Losses of a reward model on pairs, in the model of Bradley and Terry 1952: with d = r_chosen - r_rejected,
 *
 *     P(chosen is preferred) = sigmoid(d)          L = - log sigmoid(d - margin)          (Llama 2, eq. 2)
 *
 * d does not change when the same number is added to all rewards (the model is shift-invariant); it does when they are
 * scaled. `centerRewardsCoefficient` c fixes the shift: + c mean((r_chosen + r_rejected)^2) (Eisenstein et al. 2023).
 *
 * Ties need a third outcome, which takes its share of the likelihood:
 *
 *     Davidson 1970      P(i over j) = e^(d/2) / Z     P(tie) = v / Z     Z = e^(d/2) + e^(-d/2) + v
 *     Rao, Kupper 1967   P(i over j) = sigmoid(d - t)  P(tie) = (e^(2 t) - 1) sigmoid(d - t) sigmoid(-d - t)
 *
 * Label smoothing e is the belief that a share e of the labels is the wrong way round: (1 - e) L(d) + e L(-d), margins
 * left where they are (Mitchell 2023, conservative DPO). v and t follow from `tieShare` s, the probability of a tie between equals: v = 2 s / (1 - s), e^t = (1 + s) / (1 - s).
 */
import {
  abs,
  add,
  cast,
  div,
  exp,
  greater,
  log,
  logSigmoid,
  max,
  maximum,
  min,
  minimum,
  mul,
  neg,
  type Operand,
  square,
  sub,
  sum,
  type Tensor,
} from "../graph/index.ts";
import { RewardError } from "./reward.ts";

/** Negative log-likelihoods [B] of an outcome, given d [B]. */
export interface TieModel {
  /** The chosen one won; `d` has its margin taken off. */
  readonly won: (d: Tensor, tieShare: number) => Tensor;
  readonly tied: (d: Tensor, tieShare: number) => Tensor;
}

/** log(e^(d/2) + e^(-d/2) + v) less |d|/2, which never overflows. */
function excess(d: Tensor, v: number): Tensor {
  const far = exp(mul(abs(d), -0.5));
  return log(add(add(square(far), mul(far, v)), 1));
}

const davidson = (share: number): number => (2 * share) / (1 - share);
const threshold = (share: number): number => Math.log((1 + share) / (1 - share));

/** How a tie splits the likelihood, by name. */
export const tieModels = {
  davidson: {
    won: (d, s) => add(excess(d, davidson(s)), mul(sub(abs(d), d), 0.5)),
    tied: (d, s) => sub(add(excess(d, davidson(s)), mul(abs(d), 0.5)), Math.log(davidson(s))),
  },
  rao_kupper: {
    won: (d, s) => neg(logSigmoid(sub(d, threshold(s)))),
    tied: (d, s) => {
      const t = threshold(s);
      const both = add(logSigmoid(sub(d, t)), logSigmoid(sub(neg(d), t)));
      return sub(neg(both), Math.log(Math.expm1(2 * t)));
    },
  },
} as const satisfies Record<string, TieModel>;

/** `drop` leaves ties out. */
export type Ties = keyof typeof tieModels | "drop";

export interface PairLossOptions {
  /** Weight of the squared sum of a pair's rewards; 0.01 is the usual one. Default 0. */
  readonly centerRewardsCoefficient?: number | undefined;
  /** How ties count. Default "drop". */
  readonly ties?: Ties | undefined;
  /** Probability of a tie between two responses of the same reward. Default 1/3. */
  readonly tieShare?: number | undefined;
  /** The share of labels that is taken to be the wrong way round, below 0.5. Default 0. */
  readonly labelSmoothing?: number | undefined;
}

/** Rewards of pairs, and what is known of each pair; all [B]. */
export interface Pairs {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
  /** How much better the chosen one is said to be; 0 where nothing is. */
  readonly margin?: Tensor | undefined;
  /** 1 where neither is better, else 0; read where ties count. */
  readonly tie?: Tensor | undefined;
}

/** The negative log-likelihood of each pair, [B]. */
export function pairLosses(
  { chosen, rejected, margin, tie }: Pairs,
  { ties = "drop", tieShare = 1 / 3, labelSmoothing = 0 }: PairLossOptions = {},
): Tensor {
  if (!(labelSmoothing >= 0 && labelSmoothing < 0.5))
    throw new RewardError(`label_smoothing: a share from 0 to below 0.5 is required, got ${labelSmoothing}`);
  if (!(tieShare > 0 && tieShare < 1))
    throw new RewardError(`tie_share: a share between 0 and 1 is required, got ${tieShare}`);
  const d = sub(chosen, rejected);
  const ahead = margin ? sub(d, margin) : d;
  const smoothed = (won: (lead: Tensor) => Tensor) =>
    labelSmoothing === 0
      ? won(ahead)
      : add(mul(won(ahead), 1 - labelSmoothing), mul(won(neg(d)), labelSmoothing));
  if (ties === "drop") return smoothed((lead) => neg(logSigmoid(lead)));
  const { won, tied }: TieModel = tieModels[ties];
  const decided = smoothed((lead) => won(lead, tieShare));
  return tie ? add(mul(decided, sub(1, tie)), mul(tied(d, tieShare), tie)) : decided;
}

/**
 * Loss of a batch and its metrics under TRL's names. `items` is the number of pairs of the whole batch, so that losses
 * and means of micro-batches add up. In `accuracy` a tie counts half, in `margin` nothing.
 */
export function pairLoss(
  pairs: Pairs,
  items: Operand,
  options: PairLossOptions = {},
): { loss: Tensor; metrics: Record<string, Tensor> } {
  const { centerRewardsCoefficient: c = 0 } = options;
  const { chosen, rejected, tie } = pairs;
  const mean = (x: Tensor) => div(sum(x), items);
  const nll = mean(pairLosses(pairs, options));
  const both = add(chosen, rejected);
  const right = cast(greater(chosen, rejected), chosen.dtype);
  const d = sub(chosen, rejected);
  const decided = tie && sub(1, tie);
  return {
    loss: c === 0 ? nll : add(nll, mul(mean(square(both)), c)),
    metrics: {
      accuracy: mean(tie && decided ? add(mul(right, decided), mul(tie, 0.5)) : right),
      margin: mean(decided ? mul(d, decided) : d),
      min_reward: min(minimum(chosen, rejected)),
      mean_reward: mul(mean(both), 0.5),
      max_reward: max(maximum(chosen, rejected)),
    },
  };
}
