/** The methods without a critic: REINFORCE, RLOO, GRPO and its relatives. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { createGrpo, type GrpoOptions, grpo, grpoLossTypes } from "./grpo.ts";
import { groupAdvantages, leaveOneOut } from "./policy/groups.ts";
import { reinforce } from "./reinforce.ts";
import { createRloo, rloo } from "./rloo.ts";
import { tinyModel } from "./tiny.fixture.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const model = tinyModel();
const prompts = Array.from({ length: 8 }, (_, i) => ({
  ids: Int32Array.from([5 + i, 9, 12 + (i % 3)]),
  text: `${i}`,
  row: {},
  source: { file: "prompts", line: i },
}));
/** Likes one token. */
const reward = (batch: readonly { completionIds?: readonly number[] }[]) =>
  batch.map(
    ({ completionIds = [] }) => completionIds.filter((id) => id % 4 === 1).length / completionIds.length,
  );
const common = {
  model,
  prompts,
  reward,
  batchSize: 32,
  maxCompletionLength: 8,
  learningRate: 2e-2,
  lrSchedulerType: "constant" as const,
  maxSteps: 12,
};

const scoresOf = async (
  train: (hooks: { onStep(report: { metrics: Record<string, number> }): void }) => Promise<unknown>,
) => {
  const scores: number[] = [];
  await train({ onStep: ({ metrics }) => void scores.push(metrics.reward as number) });
  return scores;
};

const trainers = {
  reinforce: (hooks: object) => reinforce({ ...common, engine, beta: 0 }, hooks),
  rloo: (hooks: object) => rloo({ ...common, engine, numGenerations: 4, beta: 0.01 }, hooks),
  ...Object.fromEntries(
    grpoLossTypes.map((lossType) => [
      `grpo ${lossType}`,
      (hooks: object) => grpo({ ...common, engine, numGenerations: 8, lossType }, hooks),
    ]),
  ),
  gspo: (hooks: object) =>
    grpo({ ...common, engine, importanceSamplingLevel: "sequence", beta: 0.01, numIterations: 2 }, hooks),
};

for (const [name, train] of Object.entries(trainers))
  it(`${name} earns more reward than it began with`, async () => {
    const scores = await scoresOf(train);
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(scores.slice(-3))).toBeGreaterThan(mean(scores.slice(0, 3)) + 0.1);
  });

describe("advantages", () => {
  it("are differences from the group's mean in units of its unbiased deviation", () => {
    const [a, b, c, d] = groupAdvantages([1, 3, 5, 5], 2) as [number, number, number, number];
    expect(a).toBeCloseTo(-1 / (Math.SQRT2 + 1e-4), 8);
    expect(b).toBeCloseTo(-a, 8);
    expect([c, d]).toEqual([0, 0]);
    expect(groupAdvantages([1, 3, 5, 5], 2, "none")).toEqual([-1, 1, 0, 0]);
  });

  it("leave their own score out of the baseline", () => {
    expect(leaveOneOut([1, 2, 6], 3)).toEqual([1 - 4, 2 - 3.5, 6 - 1.5]);
  });
});

it("a group of one has nothing to compare with", async () => {
  await expect(grpo({ ...common, numGenerations: 1 })).rejects.toThrow(/num_generations.*at least 2/);
  await expect(rloo({ ...common, numGenerations: 5 })).rejects.toThrow(/divisor of the 32 responses/);
});

const course = { totalSteps: 4 };
const stepping = { model, batchSize: 8, numGenerations: 4, maxCompletionLength: 8, learningRate: 1e-2 };
type Trainer = Awaited<ReturnType<typeof createGrpo>>;
const difference = async (trainer: Trainer) => {
  const { parameters } = await trainer.policy();
  return Math.max(
    ...Object.entries(parameters).map(([name, { data }]) =>
      Math.max(
        ...Array.from(data as Float32Array, (x, i) =>
          Math.abs(x - ((model.parameters[name] as HostArray).data[i] as number)),
        ),
      ),
    ),
  );
};

it("groups of equal rewards are counted, and teach nothing", async () => {
  const trainer = await createGrpo({ ...stepping, engine }, course);
  const responses = await trainer.rollout(prompts.slice(0, 2));
  const all = await trainer.step({ prompts: prompts.slice(0, 2), responses, rewards: Array(8).fill(3) });
  expect([all.frac_reward_zero_std, all.updates, all.reward]).toEqual([1, 0, 3]);
  expect(await difference(trainer)).toBe(0);
  const again = await trainer.rollout(prompts.slice(2, 4));
  const half = await trainer.step({
    prompts: prompts.slice(2, 4),
    responses: again,
    rewards: [1, 2, 3, 4, 7, 7, 7, 7],
  });
  expect([half.frac_reward_zero_std, half.updates]).toEqual([0.5, 1]);
  expect(await difference(trainer)).toBeGreaterThan(1e-4);
  await trainer.dispose();
});

it("what is skipped changes no update: the same as with rewards of equal groups computed", async () => {
  const after: Record<string, HostArray>[] = [];
  for (const beta of [0, 1e-12]) {
    const trainer = await createGrpo(
      { ...stepping, optimizer: "sgd", lossType: "grpo", beta, engine },
      course,
    );
    const responses = await trainer.rollout(prompts.slice(0, 2));
    await trainer.step({ prompts: prompts.slice(0, 2), responses, rewards: [1, 2, 3, 4, 7, 7, 7, 7] });
    after.push((await trainer.policy()).parameters as Record<string, HostArray>);
    await trainer.dispose();
  }
  for (const [name, { data }] of Object.entries(after[0] ?? {}))
    for (const [i, x] of (data as Float32Array).entries())
      expect(Math.abs(x - (after[1]?.[name]?.data[i] as number))).toBeLessThan(1e-6);
});

it("an iteration is the same in micro-batches", async () => {
  const options: Partial<GrpoOptions>[] = [{}, { batchSize: 4, gradientAccumulation: 2 }];
  for (const more of [{ lossType: "dr_grpo" }, { importanceSamplingLevel: "sequence" }] as const) {
    const found: Record<string, HostArray>[] = [];
    for (const cut of options) {
      const trainer = await createGrpo(
        { ...stepping, optimizer: "sgd", numIterations: 2, ...more, ...cut, engine },
        course,
      );
      const responses = await trainer.rollout(prompts.slice(0, 2));
      await trainer.step({ prompts: prompts.slice(0, 2), responses, rewards: [1, 2, 3, 4, 7, 5, 3, 7] });
      found.push((await trainer.policy()).parameters as Record<string, HostArray>);
      await trainer.dispose();
    }
    for (const [name, { data }] of Object.entries(found[0] ?? {}))
      for (const [i, x] of (data as Float32Array).entries())
        expect(Math.abs(x - (found[1]?.[name]?.data[i] as number))).toBeLessThan(2e-6);
  }
});

it("without a KL there is no reference; with one, it is 0 at the start", async () => {
  const trainer = await createRloo({ ...stepping, beta: 0.1, engine }, course);
  const responses = await trainer.rollout(prompts.slice(0, 2));
  const input = { prompts: prompts.slice(0, 2), responses, rewards: [1, 2, 3, 4, 7, 5, 3, 7] };
  const metrics = await trainer.step(input);
  expect(Math.abs(metrics.kl as number)).toBeLessThan(1e-5);
  await trainer.dispose();
  const free = await createGrpo({ ...stepping, engine }, course);
  await expect(free.step({ ...input, rewards: [1] })).rejects.toThrow(/8 responses and rewards.*2 prompts/);
  expect((await free.step(input)).kl).toBeUndefined();
  await free.dispose();
});

describe("figures", () => {
  const lastOf = async (train: (hooks: object) => Promise<{ metrics: Readonly<Record<string, number>> }>) => {
    const all: Record<string, number>[] = [];
    await train({
      onStep: ({ metrics }: { metrics: Record<string, number> }) => void all.push(metrics),
    });
    return all;
  };

  it("GRPO logs the KL that its loss has, k3, which is never negative; another one is refused", async () => {
    const options = { ...common, engine, numGenerations: 8, beta: 0.01, maxSteps: 6 };
    const all = await lastOf((hooks) => grpo(options, hooks));
    for (const { kl } of all) expect(kl).toBeGreaterThanOrEqual(0);
    expect(all.at(-1)?.kl).toBeGreaterThan(0);
    await expect(grpo({ ...options, klEstimator: "k1" })).rejects.toThrow(
      /kl_estimator: k2 or k3 is required for a KL in the loss, got k1/,
    );
  });

  it("RLOO counts groups of equal scores, also where the KL tells their responses apart", async () => {
    const options = {
      ...common,
      engine,
      reward: (batch: readonly object[]) => batch.map(() => 1),
      maxSteps: 3,
    };
    const all = await lastOf((hooks) => rloo({ ...options, numGenerations: 4, beta: 0.5 }, hooks));
    for (const { frac_reward_zero_std, reward_std } of all)
      expect([frac_reward_zero_std, reward_std]).toEqual([1, 0]);
  });

  it("scores that differ by rounding alone are equal: nothing is learned, nothing moves, and that is said", async () => {
    const noisy = (batch: readonly object[]) => batch.map((_, i) => 3 + 1e-7 * (i % 3));
    const ways = {
      rloo: (o: typeof common, hooks: object) =>
        rloo({ ...o, numGenerations: 4, normalizeAdvantages: true }, hooks),
      grpo: (o: typeof common, hooks: object) => grpo({ ...o, numGenerations: 4 }, hooks),
    };
    for (const [name, train] of Object.entries(ways)) {
      const warnings: string[] = [];
      const { policy, metrics } = await train(
        { ...common, ...{ engine, beta: name === "rloo" ? 0.05 : 0 }, reward: noisy, maxSteps: 3 },
        { onWarning: (text: string) => void warnings.push(text) },
      );
      expect(metrics.frac_reward_zero_std).toBe(1);
      for (const [path, { data }] of Object.entries(policy.parameters)) {
        const before = (model.parameters[path] as HostArray).data as Float32Array;
        const moved = Array.from(data as Float32Array, (x, i) => Math.abs(x - (before[i] as number)));
        expect(Math.max(...moved), `${name} ${path}`).toBeLessThan(1e-6);
      }
      expect(warnings).toEqual([
        expect.stringMatching(
          /^step 1: all responses to each prompt are worth the same, so nothing was learned/,
        ),
      ]);
    }
  });

  it("CISPO clips above its bound alone", async () => {
    const options = { ...common, engine, numGenerations: 8, lossType: "cispo", epsilonHigh: 1.0001 } as const;
    const all = await lastOf((hooks) => grpo({ ...options, numIterations: 3, maxSteps: 3 }, hooks));
    expect(all.at(-1)?.["clip_ratio/high_mean"]).toBeGreaterThan(0.05);
    expect(all.at(-1)?.["clip_ratio/low_mean"]).toBe(0);
    const wide = await lastOf((hooks) => grpo({ ...options, epsilonHigh: 50, maxSteps: 3 }, hooks));
    expect(wide.at(-1)?.["clip_ratio/high_mean"]).toBe(0);
  });
});
