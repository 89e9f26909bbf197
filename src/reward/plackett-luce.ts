/**
 * The likelihood of a ranking in the model of Plackett 1975 and Luce 1959: the best is drawn first, each response in
 * proportion to e^s, then the best of the rest, and so on.
 *
 *     L = - sum_i log ( e^(s_i) / sum_{j: rank_j >= rank_i} e^(s_j) )
 *
 * Two responses are the model of Bradley and Terry. Responses of equal rank are all held against the same rest, as
 * Breslow 1974 does with ties. The scores are rewards of a reward model, or beta log pi/ref of a policy.
 */
import {
  and,
  cast,
  expandDims,
  greaterEqual,
  logSumExp,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  where,
} from "../graph/index.ts";

const never = -1e30;

/**
 * Negative log-likelihoods [B] of rankings.
 *
 * @param scores [B, K]
 * @param ranks [B, K]: a lower rank is better; below 0 where a list has fewer than K responses
 */
export function plackettLuceLosses(scores: Tensor, ranks: Tensor): Tensor {
  const real = greaterEqual(ranks, 0); // [B, K]
  const isAfter = greaterEqual(expandDims(ranks, 1), expandDims(ranks, 2)); // [B, i, j]: rank_j >= rank_i
  const rest = where(and(isAfter, expandDims(real, 1)), expandDims(scores, 1), never); // [B, i, j]
  const others = reshape(logSumExp(rest), scores.shape); // [B, i]
  return sum(mul(sub(others, where(real, scores, 0)), cast(real, scores.dtype)), -1);
}
