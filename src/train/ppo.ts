/**
 * Proximal policy optimisation of a language model (Schulman et al. 2017; Ziegler et al. 2019; Ouyang et al. 2022):
 *
 *     maximise  E[score(prompt, response)] - beta KL(pi || pi_ref)
 *
 *     rollout     sample a response to each prompt                                    rollouts.ts
 *     score       ask the reward; log-probabilities of the reference; values          token-pass.ts, critic.ts
 *     advantage   rewards per token, GAE, whitening                                   advantages.ts, kl.ts
 *     loss, step  a few epochs of clipped updates of policy and critic                policy/update/
 *     log         metrics under TRL's names                                           metrics.ts
 */
import type { Model } from "../models/load.ts";
import { ppoAlgorithm } from "./policy/ppo-algorithm.ts";
import type { PolicyHooks, PolicyResult, PolicyStart } from "./policy/run/iterations.ts";
import { runOnPolicy } from "./policy/run/on-policy-run.ts";
import { type PpoOptions, settingsOf } from "./ppo-options.ts";

export type PpoStart = PolicyStart;
export type PpoHooks = PolicyHooks;
export type PpoResult = PolicyResult & { readonly critic: Model };

/**
 * Optimises a policy against a reward.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await ppo({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   reward: (batch) => batch.map(({ completion }) => (completion.endsWith("?") ? 1 : 0)),
 *   klCoef: 0.05,
 * });
 */
export async function ppo(options: PpoOptions, hooks: PpoHooks = {}): Promise<PpoResult> {
  const o = settingsOf(options);
  return (await runOnPolicy(ppoAlgorithm(o), o, {}, hooks)) as PpoResult;
}
