/**
 * The metrics of an iteration of PPO, under TRL's names.
 *
 * | metric | what it is | unit |
 * |---|---|---|
 * | objective/kl | mean KL to the reference, by the estimator that is asked for | nats per response |
 * | objective/entropy | mean of -log pi of the sampled tokens | nats per response |
 * | objective/non_score_reward | -beta KL | score, per response |
 * | objective/scores | mean score, as the reward gave it, less the penalty for a missing end | score |
 * | objective/rlhf_reward | scores + non_score_reward | score |
 * | objective/kl_coef | beta of this iteration | score per nat |
 * | constraint/kl, constraint/scale | with `kl_bound`: the exact KL to the reference after the projection, and its s | nats per token |
 * | policy/approxkl_avg | mean of (log pi - log pi_old)^2 / 2 | nats per token, to the old policy |
 * | policy/clipfrac_avg, val/clipfrac_avg | share of tokens whose clipped loss is the larger one | |
 * | loss/policy_avg, loss/value_avg | mean over the updates | |
 * | val/ratio, val/ratio_var | mean and variance over the updates of their mean ratio | |
 * | val/num_eos_tokens | responses that ended by themselves | |
 *
 * TRL averages over padded places too, where its figures are 0; these are means over response tokens.
 */
import type { IterationFigures } from "./algorithm.ts";

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const total = (row: ArrayLike<number>): number => Array.from(row).reduce((a, b) => a + b, 0);

/** Mean over responses of the sum over their tokens. */
const perResponse = (rows: readonly ArrayLike<number>[]): number => mean(rows.map(total));

/** Mean over all tokens. */
export const perToken = (rows: readonly ArrayLike<number>[]): number =>
  rows.reduce((sum, row) => sum + total(row), 0) / rows.reduce((n, { length }) => n + length, 0);

/** KL to the reference in nats per response. */
export const responseKl = ({ kl = [] }: Pick<IterationFigures, "kl">): number => perResponse(kl);

type PpoFigures = Pick<IterationFigures, "scores" | "terminated" | "klCoef" | "updates" | "logProbs" | "kl">;

export function ppoMetrics(figures: PpoFigures): Record<string, number> {
  const { scores, terminated, klCoef, updates, logProbs } = figures;
  const kl = responseKl(figures);
  const average = (name: string) => mean(updates.map((update) => update[name] as number));
  const ratio = average("ratio");
  return {
    "objective/kl": kl,
    "objective/entropy": -perResponse(logProbs),
    "objective/non_score_reward": -klCoef * kl,
    "objective/rlhf_reward": mean(scores) - klCoef * kl,
    "objective/scores": mean(scores),
    "objective/kl_coef": klCoef,
    "policy/approxkl_avg": average("approxkl"),
    "policy/clipfrac_avg": average("clipfrac"),
    "policy/grad_norm": average("policy_grad_norm"),
    "policy/updates": updates.length,
    ...(updates[0]?.entropy !== undefined && { "policy/entropy_avg": average("entropy") }),
    ...(updates[0]?.kl_loss !== undefined && { "loss/kl_avg": average("kl_loss") }),
    "loss/policy_avg": average("policy_loss"),
    "loss/value_avg": average("value_loss"),
    "val/clipfrac_avg": average("value_clipfrac"),
    "val/grad_norm": average("critic_grad_norm"),
    "val/ratio": ratio,
    "val/ratio_var": mean(updates.map((update) => ((update.ratio as number) - ratio) ** 2)),
    "val/num_eos_tokens": terminated.filter(Boolean).length,
    "completions/mean_length": mean(logProbs.map(({ length }) => length)),
  };
}

/**
 * The metrics of an iteration of a method with groups, under the names of TRL's GRPO and RLOO.
 *
 * | metric | what it is | unit |
 * |---|---|---|
 * | reward | mean score | score |
 * | reward_std | deviation of the scores of a group, mean over groups | score |
 * | frac_reward_zero_std | share of groups whose scores are all equal, which teach nothing | |
 * | kl | mean KL to the reference, where one is asked for | nats per token |
 * | entropy | mean of -log pi of the sampled tokens | nats per token |
 * | completions/mean_length, clipped_ratio | tokens of a response; share that did not end by itself | |
 * | clip_ratio/low_mean, high_mean, region_mean | share of tokens that are clipped, by side | |
 */
export function groupMetrics({
  updates,
  logProbs,
  terminated,
  scores,
  kl,
  figures,
}: IterationFigures): Record<string, number> {
  const average = (name: string) =>
    updates.length === 0 ? 0 : mean(updates.map((update) => update[name] ?? 0));
  const tokens = logProbs.reduce((n, { length }) => n + length, 0);
  return {
    reward: mean(scores),
    ...figures,
    ...(kl && { kl: perToken(kl) }),
    entropy: -perToken(logProbs),
    "completions/mean_length": tokens / logProbs.length,
    "completions/clipped_ratio": 1 - terminated.filter(Boolean).length / terminated.length,
    "clip_ratio/low_mean": average("clip_low"),
    "clip_ratio/high_mean": average("clip_high"),
    "clip_ratio/region_mean": average("clip_low") + average("clip_high"),
    loss: average("loss"),
    grad_norm: average("policy_grad_norm"),
    approxkl: average("approxkl"),
    updates: updates.length,
  };
}
