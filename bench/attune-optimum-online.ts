/** Methods on own samples on a problem whose optimum is known: see optimum.ts. */
import type { Engine } from "../src/graph/index.ts";
import {
  centred,
  type EnumerableProblem,
  type LettersProblem,
  type LogPolicy,
  optimalPolicy,
} from "../src/lab/index.ts";
import type { Model } from "../src/models/index.ts";
import type { Reward } from "../src/reward/index.ts";
import { expertIteration } from "../src/train/expert-iteration.ts";
import { nashMd } from "../src/train/nash-md.ts";
import { onlineDpo } from "../src/train/online-dpo.ts";
import { trpo } from "../src/train/trpo.ts";

type Train = (engine: Engine, problem: LettersProblem, seed: number) => Promise<Model>;

/** The reward of a problem. */
export function rewardOf({ prompts, responses, rewards }: LettersProblem): Reward {
  const place = (rows: readonly (readonly number[])[]) => new Map(rows.map((ids, i) => [ids.join(), i]));
  const [promptAt, responseAt] = [place(prompts), place(responses)];
  const at = (prompt: readonly number[] = [], response: readonly number[] = []) =>
    rewards[promptAt.get(prompt.join()) as number]?.[responseAt.get(response.join()) as number] as number;
  return (batch) => batch.map(({ promptIds, completionIds }) => at(promptIds, completionIds));
}

const common = (engine: Engine, problem: LettersProblem, seed: number) => ({
  engine,
  seed,
  model: problem.model,
  prompts: problem.prompts.map((ids) => ({ prompt: problem.text(ids) })),
  reward: rewardOf(problem),
  responseLength: problem.maxLength,
  numSamples: 0,
});

/** Nash-MD's pull towards the reference; its preferences are within 0 and 1, so the gains are smaller. */
const nashBeta = 0.1;
const nashMixture = 0.25;

/** The weight of the KL is 1 but for Nash-MD. */
export const onlineTrainers: Readonly<Record<string, Train>> = {
  trpo: async (engine, problem, seed) =>
    (
      await trpo({
        ...common(engine, problem, seed),
        promptsPerStep: 64,
        numGenerations: 8,
        batchSize: 512,
        klCoef: 1,
        maxKl: 0.02,
        lrSchedulerType: "linear",
        maxSteps: 60,
      })
    ).policy,

  // Samples of the reference, kept with probability exp((r - max r) / beta), are samples of the optimum.
  "expert-iteration": async (engine, problem, seed) =>
    (
      await expertIteration({
        ...common(engine, problem, seed),
        selection: "rejection",
        sampleFrom: "reference",
        beta: 1,
        terminatedOnly: false,
        promptsPerStep: 16,
        numGenerations: 64,
        batchSize: 256,
        learningRate: 2e-3,
        maxSteps: 400,
      })
    ).policy,

  // Labels are drawn by Bradley-Terry's model, as the closed form asks for.
  "online-dpo": async (engine, problem, seed) =>
    (
      await onlineDpo({
        ...common(engine, problem, seed),
        labels: "drawn",
        beta: 1,
        promptsPerStep: 512,
        batchSize: 512,
        learningRate: 2e-3,
        maxSteps: 160,
      })
    ).policy,

  "nash-md": async (engine, problem, seed) =>
    (
      await nashMd({
        ...common(engine, problem, seed),
        beta: nashBeta,
        mixtureCoef: nashMixture,
        promptsPerStep: 512,
        batchSize: 512,
        learningRate: 2e-3,
        maxSteps: 120,
      })
    ).policy,
};

/**
 * What Nash-MD plays for: the preference over its opponent at the fixed point pi ~ ref exp(P(y > mixture(pi)) / beta),
 * found by iteration, as a reward. Its optimum against that reward is the fixed point itself.
 */
export function nashProblem<P extends EnumerableProblem>(
  problem: P,
  reference: LogPolicy,
): { problem: P; beta: number } {
  let policy = reference;
  let rewards: Float64Array[] = [];
  for (let round = 0; round < 500; round++) {
    rewards = problem.rewards.map((row, x) => {
      const mixed = (policy[x] as Float64Array).map(
        (logProb, y) =>
          (1 - nashMixture) * logProb + nashMixture * ((reference[x] as Float64Array)[y] as number),
      );
      const weights = mixed.map(Math.exp);
      const norm = weights.reduce((a, b) => a + b, 0);
      return row.map(
        (own) =>
          row.reduce((sum, other, y) => sum + (weights[y] as number) / (1 + Math.exp(other - own)), 0) / norm,
      );
    });
    const next = optimalPolicy({ rewards }, reference, nashBeta).policy;
    // Half way each time: the plain iteration may swing.
    policy = policy.map((row, x) =>
      row.map((old, y) => (old + ((next[x] as Float64Array)[y] as number)) / 2),
    );
  }
  return { problem: { ...problem, rewards: centred(rewards, reference) }, beta: nashBeta };
}

/** The best of n samples of the reference, exactly: P(y) = F(y)^n - F(less than y)^n with F the reference's share of rewards. */
export const bestOfPolicy = ({ rewards }: EnumerableProblem, reference: LogPolicy, n: number): LogPolicy =>
  rewards.map((row, x) => {
    const logProbs = reference[x] as Float64Array;
    const order = [...row.keys()].sort((a, b) => (row[a] as number) - (row[b] as number));
    const out = new Float64Array(row.length);
    let below = 0;
    for (const y of order) {
      const upTo = Math.min(1, below + Math.exp(logProbs[y] as number));
      out[y] = Math.log(Math.max(1e-300, upTo ** n - below ** n));
      below = upTo;
    }
    return out;
  });
