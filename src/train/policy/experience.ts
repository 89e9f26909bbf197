/**
 * From what an iteration found to what its updates learn from: scores and KL to rewards for each token, rewards and
 * values to advantages, and the correction of responses that another distribution has sampled.
 */
import type { PpoSettings } from "../ppo-options.ts";
import { gae, tokenRewards, whiten } from "./advantages.ts";
import type { Findings, Learned } from "./algorithm.ts";
import { klEstimators, type SampledKl } from "./kl.ts";

type Rows = readonly Float64Array[];

/** Advantages and returns of PPO. */
export function ppoExperience(
  { importance, kl = [], values = [], scores, klCoef }: Findings,
  { klIn, whitenRewards, gamma, lam }: Pick<PpoSettings, "klIn" | "whitenRewards" | "gamma" | "lam">,
): Learned {
  // The KL is paid once: here, or in the loss.
  const beta = klIn === "reward" ? klCoef : 0;
  const rewards = kl.map((row, i) => tokenRewards(row, beta, scores[i] as number));
  const scaled = whitenRewards ? whiten(rewards, { shiftMean: false }) : rewards;
  const estimates = scaled.map((row, i) => gae(row, values[i] as Float64Array, { gamma, lam }));
  const advantages = whiten(estimates.map((estimate) => estimate.advantages));
  return {
    values,
    // The loss is linear in the advantage, so its weight may as well stand there.
    advantages: importance ? product(advantages, importance) : advantages,
    returns: estimates.map(({ returns }) => returns),
  };
}

/** A response that did not end by itself scores less. */
export const penalised = (
  scores: readonly number[],
  terminated: readonly boolean[],
  missingEosPenalty = 0,
): number[] => scores.map((score, i) => (terminated[i] ? score : score - missingEosPenalty));

/** KL to the reference in nats for each sampled token. */
export const sampledKl = (estimator: SampledKl, logProbs: Rows, reference: Rows): Float64Array[] =>
  logProbs.map((row, i) => row.map((x, t) => klEstimators[estimator](x - (reference[i]?.[t] as number))));

/** Above this, what sampling got wrong is not corrected any further. */
const importanceCap = 2;

/** pi / mu of tokens that mu has sampled, from log-probabilities, capped. */
export const importanceOf = (logProbs: Rows, sampled: Rows): Float64Array[] =>
  logProbs.map((row, i) =>
    row.map((x, t) => Math.min(importanceCap, Math.exp(x - (sampled[i]?.[t] as number)))),
  );

export const product = (a: Rows, b: Rows): Float64Array[] =>
  a.map((row, i) => row.map((x, t) => x * (b[i]?.[t] as number)));
