/** Attune's trainers on a problem whose optimum is known: see optimum.ts. */
import type { Engine } from "../src/graph/index.ts";
import {
  type LettersProblem,
  type LogPolicy,
  lettersProblem,
  logPolicyOf,
  optimalPolicy,
  valueOf,
} from "../src/lab/index.ts";
import type { Model } from "../src/models/index.ts";
import type { Reward } from "../src/reward/index.ts";
import { grpo } from "../src/train/grpo.ts";
import { ppo } from "../src/train/ppo.ts";
import { reinforce } from "../src/train/reinforce.ts";
import { rloo } from "../src/train/rloo.ts";
import { bestOfPolicy, nashProblem, onlineTrainers } from "./attune-optimum-online.ts";
import { type OfflineMethod, offlineMethods } from "./optimum-offline.ts";
import { withEngine } from "./with-engine.ts";

/** Weight of the KL in the objectives. */
const klWeight = 1;

type Trainer = (engine: Engine, problem: LettersProblem, seed: number) => Promise<Model>;

/** Prompts and the exact reward of a problem. */
function onPolicy(
  engine: Engine,
  { prompts, responses, rewards, text, model }: LettersProblem,
  seed: number,
) {
  const place = (rows: readonly (readonly number[])[]) => new Map(rows.map((ids, i) => [ids.join(), i]));
  const [promptAt, responseAt] = [place(prompts), place(responses)];
  const score = (prompt: readonly number[] = [], response: readonly number[] = []) =>
    rewards[promptAt.get(prompt.join()) as number]?.[responseAt.get(response.join()) as number] as number;
  const reward: Reward = (batch) =>
    batch.map(({ promptIds, completionIds }) => score(promptIds, completionIds));
  return {
    model,
    engine,
    seed,
    reward,
    prompts: prompts.map((ids) => ({ prompt: text(ids) })),
    batchSize: 256,
  };
}

const withoutCritic = (engine: Engine, problem: LettersProblem, seed: number) => ({
  ...onPolicy(engine, problem, seed),
  maxCompletionLength: problem.maxLength,
  maxSteps: 300,
  learningRate: 4e-3,
});

const trainers: Readonly<Record<string, Trainer>> = {
  ...onlineTrainers,

  async ppo(engine, problem, seed) {
    const { policy } = await ppo({
      ...onPolicy(engine, problem, seed),
      klCoef: klWeight,
      responseLength: problem.maxLength,
      maxSteps: 60,
      numMiniBatches: 2,
      learningRate: 2e-3,
      criticLearningRate: 4e-3,
      vfCoef: 0.5,
      lam: 1,
    });
    return policy;
  },

  async reinforce(engine, problem, seed) {
    return (await reinforce({ ...withoutCritic(engine, problem, seed), beta: klWeight })).policy;
  },

  async rloo(engine, problem, seed) {
    return (await rloo({ ...withoutCritic(engine, problem, seed), beta: klWeight, numGenerations: 8 }))
      .policy;
  },

  // Its objective is that of rewards in units of a group's deviation; without that scale it is the others'.
  async grpo(engine, problem, seed) {
    const options = { beta: klWeight, numGenerations: 8, scaleRewards: "none", lossType: "dr_grpo" } as const;
    return (await grpo({ ...withoutCritic(engine, problem, seed), ...options })).policy;
  },
};

/** Preferences that an offline method learns from: enough for the optimum, and fewer where a loss aims elsewhere. */
const preferencesOf = ({ exact }: OfflineMethod): number => (exact ? 65_536 : 16_384);

/** The best of n samples, with the n that serves the objective best: it needs no training, and is no optimum. */
const bestOf = (problem: LettersProblem, reference: LogPolicy, beta: number): LogPolicy =>
  [2, 3, 4, 6, 8, 12, 16, 32]
    .map((n) => bestOfPolicy(problem, reference, n))
    .reduce((best, policy) => {
      const value = (of: LogPolicy) => valueOf(problem, of, reference, beta).objective;
      return value(policy) > value(best) ? policy : best;
    });

export const optimumOf = ({ trainer, seed }: { trainer: string; seed: number }, threads: number) =>
  withEngine(threads, async (engine) => {
    const letters = await lettersProblem(engine, { letters: 4, seed });
    const { reference } = letters;
    const { problem, beta } =
      trainer === "nash-md" ? nashProblem(letters, reference) : { problem: letters, beta: klWeight };
    const best = optimalPolicy(problem, reference, beta);
    const start = performance.now();
    const offline = offlineMethods[trainer];
    const trained = () =>
      offline
        ? offline.train(engine, letters, seed, preferencesOf(offline))
        : (trainers[trainer] as Trainer)(engine, letters, seed);
    const policy =
      trainer === "best-of-n"
        ? bestOf(problem, reference, beta)
        : await logPolicyOf(engine, await trained(), problem);
    const seconds = (performance.now() - start) / 1000;
    const found = valueOf(problem, policy, reference, beta);
    return {
      share: found.objective / best.value,
      kl: found.kl,
      optimal_kl: valueOf(problem, best.policy, reference, beta).kl,
      seconds,
    };
  });
