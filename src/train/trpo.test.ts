import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadModel, type Parameters } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { tinyModel } from "./tiny.fixture.ts";
import { type TrpoOptions, trpo } from "./trpo.ts";

/** Many vowels are good. */
const vowels: Reward = (batch) =>
  batch.map(({ completion }) => (completion.match(/[aeiou]/g)?.length ?? 0) / Math.max(1, completion.length));

const basics: TrpoOptions = {
  model: tinyModel(),
  prompts: ["The cat", "A dog"].map((prompt) => ({ prompt })),
  reward: vowels,
  promptsPerStep: 2,
  numGenerations: 8,
  responseLength: 5,
  klCoef: 0.01,
  maxKl: 0.05,
  batchSize: 8,
  maxSteps: 6,
  threads: 1,
};

const values = ({ parameters }: { readonly parameters: Parameters }) =>
  Object.keys(parameters)
    .sort()
    .map((name) => Array.from(parameters[name]?.data as Float32Array));

describe("TRPO", () => {
  it("raises the reward by steps within the trust region", async () => {
    const steps: Record<string, number>[] = [];
    const many = { ...basics, numGenerations: 64, maxKl: 0.3, maxSteps: 4, batchSize: 64 };
    await trpo(many, { onStep: ({ metrics }) => void steps.push({ ...metrics }) });
    const [first, last] = [steps[0], steps.at(-1)] as [Record<string, number>, Record<string, number>];
    expect(last["objective/scores"]).toBeGreaterThan((first["objective/scores"] as number) + 0.03);
    for (const metrics of steps) {
      expect(metrics["policy/kl_step"]).toBeLessThanOrEqual(0.3);
      expect(metrics["policy/surrogate_gain"]).toBeGreaterThan(0);
    }
    expect(first["objective/kl"]).toBeCloseTo(0, 4);
    expect(last["objective/kl"]).toBeGreaterThan(0.01);
  });

  it("goes on to the same bits, and trains adapters", async () => {
    const dir = mkdtempSync(join(tmpdir(), "attune-trpo-"));
    try {
      await basics.model.save(join(dir, "base"));
      const model = await loadModel(join(dir, "base"));
      const run = {
        ...basics,
        model,
        maxSteps: 2,
        saveSteps: 1,
        lora: { r: 2 },
        outputDir: join(dir, "run"),
      };
      const whole = await trpo({ ...run, outputDir: join(dir, "whole") });
      const stop = new AbortController();
      await trpo(run, { signal: stop.signal, onStep: () => stop.abort() });
      const second = await trpo({ ...run, resume: true });
      expect(second).toMatchObject({ steps: 2, reason: "done" });
      expect(values(second.model.adapter as never)).toEqual(values(whole.model.adapter as never));
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 120_000);

  it("stays where it is when rewards are all equal, and counts that", async () => {
    const { model, metrics } = await trpo({
      ...basics,
      klCoef: 0,
      reward: (batch) => batch.map(() => 1),
      maxSteps: 1,
    });
    expect(metrics).toMatchObject({ frac_reward_zero_std: 1, "policy/kl_step": 0 });
    expect(values(model)).toEqual(values(basics.model));
  });

  it("refuses what cannot work, each with one sentence", async () => {
    for (const [options, message] of [
      [{ numGenerations: 1 }, /num_generations: .*at least 2 are required, got 1/],
      [{ maxKl: 0 }, /max_kl: nats a token above 0/],
      [{ logitsChunkSize: 64 }, /logits_chunk_size are not for it/],
      [{ backtrackCoef: 1 }, /backtrack_coef: a share between 0 and 1/],
    ] as const)
      await expect(trpo({ ...basics, ...options })).rejects.toThrow(message);
  });
});
