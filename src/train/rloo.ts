/**
 * REINFORCE leave-one-out (Kool et al. 2019; Ahmadian et al. 2024): a response is compared with the others to its prompt,
 * and is one action as a whole.
 *
 *     R_i = r_i - beta sum_t (log pi - log pi_ref)
 *     A_i = R_i - mean of the other R of its group
 *     l_i = -min(w_i A_i, clip(w_i, 1 - eps, 1 + eps_high) A_i),   w_i = pi(o_i) / pi_old(o_i) of the whole response
 *
 * With one pass w is 1, and this is the policy gradient with that baseline. The ratio of many tokens leaves the range soon:
 * more passes learn little.
 */

import { type GroupOptions, groupSettings } from "./group-options.ts";
import type { Algorithm } from "./policy/algorithm.ts";
import { product } from "./policy/experience.ts";
import { checkGroups, groupFigures, leaveOneOut, perTokenRows } from "./policy/groups.ts";
import { groupMetrics } from "./policy/metrics.ts";
import { createOnPolicy, type OnPolicy, type PolicyCourse } from "./policy/on-policy.ts";
import type { PolicyHooks, PolicyResult } from "./policy/run/iterations.ts";
import { runOnPolicy } from "./policy/run/on-policy-run.ts";

export interface RlooOptions extends GroupOptions {
  /** Responses to each prompt. */
  readonly numGenerations?: number | undefined;
  /** Advantages of the batch to mean 0 and deviation 1. */
  readonly normalizeAdvantages?: boolean | undefined;
}

export const rlooDefaults = { numGenerations: 2, beta: 0.05, normalizeAdvantages: false } as const;

/** The method, its settings under the names that all on-policy methods share, and what decides its course. */
export function rlooMethod(options: RlooOptions) {
  const { own, o } = groupSettings(options, rlooDefaults);
  const { numGenerations: samples, normalizeAdvantages: normalise, epsilonHigh } = own;
  checkGroups("rloo", samples, o.batchSize * o.gradientAccumulation);
  const algorithm: Algorithm = {
    name: "rloo",
    samples,
    reference: o.klCoef > 0,
    critic: false,
    update: { ...o, importance: "product", cliprangeHigh: epsilonHigh, weighted: true, clipFigures: true },
    experience({ sequences, scores, kl, klCoef, importance }) {
      const paid = scores.map((score, i) => score - klCoef * (kl?.[i]?.reduce((a, b) => a + b, 0) ?? 0));
      const advantages = perTokenRows(leaveOneOut(paid, samples, { normalise }), sequences);
      return {
        advantages: importance ? product(advantages, importance) : advantages,
        // The loss of a response, once.
        weights: perTokenRows(
          sequences.map(({ ids }) => 1 / ids.length),
          sequences,
        ),
        items: sequences.length / o.numMiniBatches,
        figures: groupFigures(scores, samples),
      };
    },
    metrics: groupMetrics,
  };
  return { algorithm, o, decides: { samples, normalise, epsilonHigh } };
}

/**
 * Optimises a policy against a reward less beta KL.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await rloo({ model, prompts: "prompts.jsonl", reward: rewardModel, numGenerations: 4 });
 */
export async function rloo(options: RlooOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const { algorithm, o, decides } = rlooMethod(options);
  return runOnPolicy(algorithm, o, decides, hooks);
}

/** The same step by step, for whoever samples or scores elsewhere: see `createPpo`. */
export async function createRloo(
  options: Omit<RlooOptions, "prompts" | "reward">,
  course: PolicyCourse,
): Promise<OnPolicy> {
  const { algorithm, o } = rlooMethod({ prompts: [], reward: () => [], ...options });
  return createOnPolicy(algorithm, o, course);
}
