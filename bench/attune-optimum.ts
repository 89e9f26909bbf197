/** Attune's trainers on a problem whose optimum is known: see optimum.ts. */
import * as ort from "onnxruntime-node";
import { type Engine, LocalEngine } from "../src/graph/index.ts";
import {
  drawPreferences,
  type LettersProblem,
  lettersProblem,
  logPolicyOf,
  optimalPolicy,
  valueOf,
} from "../src/lab/index.ts";
import type { Model } from "../src/models/index.ts";
import { dpo } from "../src/train/dpo.ts";
import { ppo } from "../src/train/ppo.ts";

/** Weight of the KL in both objectives. */
const beta = 1;

type Trainer = (engine: Engine, problem: LettersProblem, seed: number) => Promise<Model>;

const trainers: Readonly<Record<string, Trainer>> = {
  async ppo(engine, problem, seed) {
    const { prompts, responses, rewards, text, model, maxLength } = problem;
    const place = (rows: readonly (readonly number[])[]) => new Map(rows.map((ids, i) => [ids.join(), i]));
    const [promptAt, responseAt] = [place(prompts), place(responses)];
    const score = (prompt: readonly number[] = [], response: readonly number[] = []) =>
      rewards[promptAt.get(prompt.join()) as number]?.[responseAt.get(response.join()) as number] as number;
    const { policy } = await ppo({
      model,
      engine,
      prompts: prompts.map((ids) => ({ prompt: text(ids) })),
      reward: (batch) => batch.map(({ promptIds, completionIds }) => score(promptIds, completionIds)),
      klCoef: beta,
      responseLength: maxLength,
      batchSize: 256,
      maxSteps: 60,
      numMiniBatches: 2,
      learningRate: 2e-3,
      criticLearningRate: 4e-3,
      vfCoef: 0.5,
      lam: 1,
      seed,
    });
    return policy;
  },

  async dpo(engine, problem, seed) {
    const { prompts, responses, text, model, maxLength } = problem;
    const pairs = drawPreferences(problem, problem.reference, { n: 65_536, seed });
    const of = (rows: readonly (readonly number[])[], i: number) => text(rows[i] as readonly number[]);
    const trained = await dpo({
      model,
      engine,
      data: pairs.map(({ prompt, chosen, rejected }) => ({
        prompt: of(prompts, prompt),
        chosen: of(responses, chosen),
        rejected: of(responses, rejected),
      })),
      beta,
      // Responses without an end are as long as this lets them be; the end-of-text that rows get is cut off again.
      maxLength: (prompts[0] as readonly number[]).length + maxLength,
      batchSize: 256,
      learningRate: 3e-3,
      lrSchedulerType: "cosine",
      numEpochs: 2,
      seed,
    });
    return trained.model;
  },
};

export async function optimumOf({ trainer, seed }: { trainer: string; seed: number }, threads: number) {
  const engine = new LocalEngine(ort, { threads });
  try {
    const problem = await lettersProblem(engine, { letters: 4, seed });
    const { reference } = problem;
    const best = optimalPolicy(problem, reference, beta);
    const start = performance.now();
    const policy = await (trainers[trainer] as Trainer)(engine, problem, seed);
    const seconds = (performance.now() - start) / 1000;
    const found = valueOf(problem, await logPolicyOf(engine, policy, problem), reference, beta);
    return {
      share: found.objective / best.value,
      kl: found.kl,
      optimal_kl: valueOf(problem, best.policy, reference, beta).kl,
      seconds,
    };
  } finally {
    await engine.dispose();
  }
}
