/**
 * REINFORCE (Williams 1992): the plain policy gradient, one response to a prompt, one pass, no ratio and no clipping.
 *
 *     R_i = r_i - beta sum_t (log pi - log pi_ref)
 *     l_i = -(R_i - b) sum_t log pi_t,   averaged over responses
 *
 * The baseline b does not depend on the response, so it changes the gradient's variance and not its mean: the mean of the
 * other responses of the batch ("batch"), or none.
 */

import { type GroupOptions, groupSettings } from "./group-options.ts";
import type { Algorithm } from "./policy/algorithm.ts";
import { product } from "./policy/experience.ts";
import { groupFigures, leaveOneOut, perTokenRows } from "./policy/groups.ts";
import { groupMetrics } from "./policy/metrics.ts";
import { createOnPolicy, type OnPolicy, type PolicyCourse } from "./policy/on-policy.ts";
import type { PolicyHooks, PolicyResult } from "./policy/run/iterations.ts";
import { runOnPolicy } from "./policy/run/on-policy-run.ts";
import { policyLosses } from "./policy/update/policy-losses.ts";

export interface ReinforceOptions extends Omit<GroupOptions, "numIterations" | "epsilon" | "epsilonHigh"> {
  /** What rewards are compared with. */
  readonly baseline?: "batch" | "none" | undefined;
}

export const reinforceDefaults = { beta: 0.05, baseline: "batch" } as const;

/** The method, its settings under the names that all on-policy methods share, and what decides its course. */
export function reinforceMethod(options: ReinforceOptions) {
  const { own, o } = groupSettings(options, { ...reinforceDefaults, numIterations: 1 });
  const { baseline } = own;
  const algorithm: Algorithm = {
    name: "reinforce",
    samples: 1,
    reference: o.klCoef > 0,
    critic: false,
    update: { ...o, policyLoss: policyLosses.reinforce },
    experience({ sequences, scores, kl, klCoef, importance }) {
      const paid = scores.map((score, i) => score - klCoef * (kl?.[i]?.reduce((a, b) => a + b, 0) ?? 0));
      const compared = baseline === "batch" && paid.length > 1 ? leaveOneOut(paid, paid.length) : paid;
      const advantages = perTokenRows(compared, sequences);
      return {
        advantages: importance ? product(advantages, importance) : advantages,
        items: sequences.length / o.numMiniBatches,
        figures: groupFigures(scores, 1),
      };
    },
    metrics: groupMetrics,
  };
  return { algorithm, o, decides: { baseline } };
}

/**
 * Optimises a policy against a reward less beta KL, by the plain policy gradient.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await reinforce({ model, prompts: "prompts.jsonl", reward: rewardModel, beta: 0.05 });
 */
export async function reinforce(options: ReinforceOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const { algorithm, o, decides } = reinforceMethod(options);
  return runOnPolicy(algorithm, o, decides, hooks);
}

/** The same step by step, for whoever samples or scores elsewhere: see `createPpo`. */
export async function createReinforce(
  options: Omit<ReinforceOptions, "prompts" | "reward">,
  course: PolicyCourse,
): Promise<OnPolicy> {
  const { algorithm, o } = reinforceMethod({ prompts: [], reward: () => [], ...options });
  return createOnPolicy(algorithm, o, course);
}
