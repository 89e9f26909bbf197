/**
 * The divergence that holds the policy near the reference (f-DPO, Wang et al. 2023, eq. 8): with u = pi/ref and a
 * divergence E_ref[f(u)], the score of a response is f'(u), up to a constant that cancels in a pair.
 *
 *     reverse_kl         f'(u) = log u                       KL(pi || ref), that of DPO
 *     forward_kl         f'(u) = 1 - 1/u                     KL(ref || pi)
 *     js_divergence      f'(u) = log(2 u / (1 + u))          Jensen-Shannon
 *     alpha_divergence   f'(u) = (u^(a - 1) - 1) / (a - 1)   towards reverse_kl as a goes to 1
 *
 * Exponents are held below 40, so that losses stay finite; TRL holds those of the last row below 80.
 */
import { add, div, exp, logSigmoid, minimum, mul, neg, sub, type Tensor } from "../../graph/index.ts";

const largestExponent = 40;
const powerOf = (exponent: Tensor): Tensor => exp(minimum(exponent, largestExponent));

/** From log u [B] to f'(u) [B]; `alpha` is that of `alpha_divergence`. */
export const fDivergences = {
  reverse_kl: (logRatio) => logRatio,
  forward_kl: (logRatio) => sub(1, powerOf(neg(logRatio))),
  js_divergence: (logRatio) => add(logSigmoid(logRatio), Math.LN2),
  alpha_divergence: (logRatio, alpha) =>
    Math.abs(alpha - 1) < 1e-6 ? logRatio : div(sub(powerOf(mul(logRatio, alpha - 1)), 1), alpha - 1),
} satisfies Record<string, (logRatio: Tensor, alpha: number) => Tensor>;

export type FDivergence = keyof typeof fDivergences;
export const fDivergenceNames = Object.keys(fDivergences) as readonly FDivergence[];
