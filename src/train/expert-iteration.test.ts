import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadModel, type Parameters } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { type ExpertIterationOptions, expertIteration } from "./expert-iteration.ts";
import { selectResponses } from "./online/selection.ts";
import { tinyModel } from "./tiny.fixture.ts";

/** Many vowels are good. */
const vowels: Reward = (batch) =>
  batch.map(({ completion }) => (completion.match(/[aeiou]/g)?.length ?? 0) / Math.max(1, completion.length));

const prompts = ["The cat", "A dog", "The hen", "A fox"].map((prompt) => ({ prompt }));
const basics: ExpertIterationOptions = {
  model: tinyModel(),
  prompts,
  reward: vowels,
  promptsPerStep: 4,
  numGenerations: 8,
  responseLength: 6,
  learningRate: 1e-2,
  terminatedOnly: false,
  batchSize: 8,
  maxSteps: 12,
  threads: 1,
};

const bytesOf = ({ parameters }: { readonly parameters: Parameters }) =>
  Object.keys(parameters)
    .sort()
    .map((name) => Array.from(parameters[name]?.data as Float32Array));

describe("expert iteration", () => {
  it("raises the reward by what the policy itself found, and tells how far it went", async () => {
    const scores: number[] = [];
    const { metrics } = await expertIteration(
      { ...basics, numGenerations: 16, topK: 4 },
      {
        onStep: ({ metrics }) => void scores.push(metrics["objective/scores"] as number),
      },
    );
    expect(scores.at(-1)).toBeGreaterThan((scores[0] as number) + 0.1);
    expect(metrics["objective/scores_kept"]).toBeGreaterThan(metrics["objective/scores"] as number);
    expect(metrics["objective/kl"]).toBeGreaterThan(0);
    expect(metrics["selection/kept"]).toBe(16);
  });

  it("goes on to the same bits, trains adapters, and does not mind how a batch is cut", async () => {
    const dir = mkdtempSync(join(tmpdir(), "attune-expert-"));
    try {
      await basics.model.save(join(dir, "base"));
      const model = await loadModel(join(dir, "base"));
      const run = {
        ...basics,
        model,
        maxSteps: 3,
        saveSteps: 1,
        lora: { r: 2 },
        outputDir: join(dir, "run"),
      };
      const whole = await expertIteration({ ...run, outputDir: join(dir, "whole") });
      const stop = new AbortController();
      const first = await expertIteration(run, {
        signal: stop.signal,
        onStep: ({ step }) => (step === 2 ? stop.abort() : undefined),
      });
      expect(first).toMatchObject({ steps: 2, reason: "stopped" });
      const second = await expertIteration({ ...run, resume: true });
      expect(second).toMatchObject({ steps: 3, reason: "done" });
      expect(bytesOf(second.model.adapter as never)).toEqual(bytesOf(whole.model.adapter as never));
      expect(
        readFileSync(join(dir, "run", "samples.jsonl"), "utf8")
          .trim()
          .split("\n"),
      ).toHaveLength(12);
      await expect(expertIteration({ ...run, resume: true, topK: 2 })).rejects.toThrow(/topK/);
    } finally {
      rmSync(dir, { recursive: true });
    }
    const sgd = { ...basics, maxSteps: 1, optimizer: "sgd" } as const;
    const cut = bytesOf((await expertIteration({ ...sgd, batchSize: 2, gradientAccumulation: 2 })).model);
    const one = bytesOf((await expertIteration({ ...sgd, batchSize: 4 })).model);
    const apart = cut.flatMap((values, i) =>
      values.map((value, j) => Math.abs(value - (one[i]?.[j] as number))),
    );
    expect(Math.max(...apart)).toBeLessThan(1e-5);
  }, 120_000);

  it("skips groups whose rewards are all equal, counts them, and says so once", async () => {
    const warnings: string[] = [];
    const { metrics, model } = await expertIteration(
      { ...basics, reward: (batch) => batch.map(() => 1), maxSteps: 2 },
      { onWarning: (text) => void warnings.push(text) },
    );
    expect(metrics).toMatchObject({ frac_reward_zero_std: 1, "selection/kept": 0 });
    expect(warnings).toEqual([
      expect.stringMatching(/step 1: no response is worth keeping \(4 of 4 prompts/),
    ]);
    expect(bytesOf(model)).toEqual(bytesOf(basics.model));
  });

  it("refuses what cannot work, each with one sentence", async () => {
    for (const [options, message] of [
      [{ numGenerations: 1 }, /num_generations: .*at least 2 are required, got 1/],
      [{ topK: 8 }, /top_k: a whole number from 1 to 7 is required/],
      [{ selection: "rejection", beta: 0 }, /beta: rejection divides by it/],
      [{ promptsPerStep: 0 }, /prompts_per_step: a whole number/],
      [{ temperature: 0 }, /temperature: above 0/],
      [{ responseLength: 64 }, /response_length: the context of tiny is 64/],
    ] as const)
      await expect(expertIteration({ ...basics, ...options })).rejects.toThrow(message);
  });
});

describe("selection", () => {
  const settings = { selection: "top_k", topK: 1, threshold: 0.5, beta: 1 } as const;
  const scores = [0, 2, 1, 1, 1, 1, 0.5, 0, 0];

  it("keeps the best of each group, or all above a threshold; equal groups are counted", () => {
    expect(selectResponses(scores, 3, settings, 0)).toEqual({ kept: [1, 6], equalGroups: 1 });
    expect(selectResponses(scores, 3, { ...settings, topK: 2 }, 0).kept).toEqual([1, 2, 6, 7]);
    expect(selectResponses(scores, 3, { ...settings, selection: "threshold" }, 0).kept).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
  });

  it("rejection keeps the best always, and others as often as exp((r - best) / beta)", () => {
    const kept = new Array(scores.length).fill(0);
    const runs = 4000;
    for (let seed = 0; seed < runs; seed++)
      for (const i of selectResponses(scores, 3, { ...settings, selection: "rejection" }, seed).kept)
        kept[i]++;
    expect(kept.map((n) => n / runs)).toEqual(
      [Math.exp(-2), 1, Math.exp(-1), 1, 1, 1, 1, Math.exp(-0.5), Math.exp(-0.5)].map((p) =>
        expect.closeTo(p, 1),
      ),
    );
  });
});
