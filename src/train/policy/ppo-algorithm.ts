/** PPO as an on-policy method: a critic, advantages by GAE, the clipped loss of policy and values. */
import { type PpoSettings, type PpoStepOptions, settingsOf } from "../ppo-options.ts";
import type { Algorithm } from "./algorithm.ts";
import { ppoExperience } from "./experience.ts";
import type { klTerms } from "./kl.ts";
import { ppoMetrics } from "./metrics.ts";
import { createOnPolicy, type OnPolicy, type PolicyCourse } from "./on-policy.ts";

export const ppoAlgorithm = (o: PpoSettings): Algorithm => ({
  name: "ppo",
  samples: 1,
  reference: true,
  critic: true,
  update: { ...o, ...(o.klIn === "loss" && { klTerm: o.klEstimator as keyof typeof klTerms }) },
  experience: (found) => ppoExperience(found, o),
  metrics: ppoMetrics,
});

/**
 * Prepares policy, critic, reference and optimisers in an engine.
 *
 * @throws TrainError for options that contradict each other and models that do not fit together
 * @example
 * const trainer = await createPpo({ model, learningRate: 1e-5 }, { totalSteps: 10 });
 * const responses = await trainer.rollout(prompts);
 * const metrics = await trainer.step({ prompts, responses, rewards: responses.map(({ ids }) => -ids.length) });
 */
export function createPpo(options: PpoStepOptions, course: PolicyCourse): Promise<OnPolicy> {
  const o = settingsOf(options);
  return createOnPolicy(ppoAlgorithm(o), o, course);
}
