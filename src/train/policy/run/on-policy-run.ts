/**
 * An on-policy method in the loop of all (iterations.ts): responses, rewards, and a step of the `Algorithm`.
 */
import type { PromptExample } from "../../../data/prompts.ts";
import type { PpoOptions, settingsOf } from "../../ppo-options.ts";
import type { Algorithm } from "../algorithm.ts";
import { criticFrom } from "../critic.ts";
import { createOnPolicy } from "../on-policy.ts";
import { scoreResponses } from "../rollouts.ts";
import {
  type Decisive,
  type Iteration,
  isModel,
  type Learner,
  type Place,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./iterations.ts";
import type { PolicyState } from "./state.ts";

type Settings = ReturnType<typeof settingsOf<PpoOptions>>;

/**
 * Trains a policy by a method, in a folder where there is one.
 *
 * @param o the method's settings under the names of PPO's
 * @param decides the method's own options, which must be the same when the run goes on
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 */
export function runOnPolicy(
  algorithm: Algorithm,
  o: Settings,
  decides: Decisive,
  hooks: PolicyHooks = {},
): Promise<PolicyResult> {
  const { name, samples } = algorithm;
  const promptsPerStep = (o.batchSize * o.gradientAccumulation) / samples;
  const { totalEpisodes } = o;
  const own = Object.fromEntries(decisive.map((name) => [name, (o as unknown as Decisive)[name]]));
  return runIterations(
    o,
    {
      ...{ name, promptsPerStep, samples, totalEpisodes },
      decisive: { ...own, ...decides },
      open: (place) => openLearner(algorithm, o, place),
    },
    hooks,
  );
}

async function openLearner(
  algorithm: Algorithm,
  o: Settings,
  { engine, model, reward, totalSteps, longestPrompt, from, onWarning }: Place,
): Promise<Learner> {
  const critic = o.critic === "reward" && isModel(o.reward) ? criticFrom(o.reward) : o.critic;
  const trainer = await createOnPolicy(
    algorithm,
    { ...o, model, engine, critic },
    {
      ...{ totalSteps, longestPrompt, onWarning },
      from: from && {
        state: from.state as PolicyState,
        arrays: from.arrays,
        model: () => from.model("model"),
        ...(algorithm.critic && { critic: () => from.model("critic") }),
      },
    },
  );
  return {
    model: trainer.policy,
    averaged: trainer.averagedPolicy,
    critic: trainer.critic,
    arrays: trainer.arrays,
    state: () => trainer.state,
    dispose: trainer.dispose,
    async iterate(prompts): Promise<Iteration> {
      const started = performance.now();
      const responses = await trainer.rollout(prompts);
      const rolled = performance.now();
      const asked = responses.map((_, i) => prompts[Math.floor(i / algorithm.samples)] as PromptExample);
      const rewards = await scoreResponses(reward.score, asked, responses, reward.name);
      const scored = (performance.now() - rolled) / 1000;
      const tokens = trainer.state.num_tokens;
      const metrics = await trainer.step({ prompts, responses, rewards });
      return {
        metrics: {
          ...metrics,
          "time/rollout": (rolled - started) / 1000,
          "time/score": (metrics["time/score"] ?? 0) + scored,
        },
        responses: responses.length,
        tokens: trainer.state.num_tokens - tokens,
        samples: responses.slice(0, o.numSamples).map(({ text, terminated }, i) => ({
          prompt: asked[i]?.text ?? "",
          completion: text,
          score: rewards[i] as number,
          terminated,
        })),
      };
    },
  };
}

/** Settings of all of these methods that decide what a run computes. */
const decisive = [
  ...["criticLearningRate", "epsilonPlacement", "numPpoEpochs", "numMiniBatches", "sharedBackbone", "vfCoef"],
  ...["cliprange", "cliprangeValue", "entropyCoef", "gamma", "lam", "whitenRewards", "targetKl", "klCoef"],
  ...[
    "klEstimator",
    "klIn",
    "klSchedule",
    "klCoefEnd",
    "klTarget",
    "klHorizon",
    "klBound",
    "int8Rollouts",
    "int8Reference",
  ],
];
