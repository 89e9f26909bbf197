/** Online DPO and Nash-MD: what both have in common, and what each adds. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadModel, type Parameters } from "../models/load.ts";
import type { JudgePair } from "../reward/judge/judge.ts";
import type { Reward } from "../reward/reward.ts";
import { type NashMdOptions, nashMd, nashWeights } from "./nash-md.ts";
import { type OnlineDpoOptions, onlineDpo } from "./online-dpo.ts";
import { tinyModel } from "./tiny.fixture.ts";

const vowelsOf = (text: string) => (text.match(/[aeiou]/g)?.length ?? 0) / Math.max(1, text.length);
const vowels: Reward = (batch) => batch.map(({ completion }) => 4 * vowelsOf(completion));
const judge = async (pairs: readonly JudgePair[]) =>
  pairs.map(({ first, second }) => 0.5 + 0.5 * Math.sign(vowelsOf(first) - vowelsOf(second)));

const basics = {
  model: tinyModel(),
  prompts: ["The cat", "A dog", "The hen", "A fox"].map((prompt) => ({ prompt })),
  promptsPerStep: 32,
  responseLength: 6,
  learningRate: 5e-3,
  lrSchedulerType: "constant",
  beta: 0.02,
  batchSize: 32,
  maxSteps: 12,
  threads: 1,
} as const satisfies OnlineDpoOptions & NashMdOptions;

const values = ({ parameters }: { readonly parameters: Parameters }) =>
  Object.keys(parameters)
    .sort()
    .map((name) => Array.from(parameters[name]?.data as Float32Array));

describe.each([
  ["online DPO", onlineDpo],
  ["Nash-MD", nashMd],
] as const)("%s", (name, train) => {
  it("raises the reward, by scores and by a judge alone", async () => {
    for (const by of [{ reward: vowels }, { judge }]) {
      const shares: number[] = [];
      const { model } = await train({
        ...basics,
        ...by,
        ...(name === "Nash-MD" && { learningRate: 1e-2, maxSteps: 16 }),
      });
      const count = async (samples: readonly { completion: string }[]) =>
        shares.push(...samples.map((s) => vowelsOf(s.completion)));
      // The score of what was trained, on the samples of one more step.
      for (const policy of [basics.model, model]) {
        const seen: { completion: string }[] = [];
        await onlineDpo({
          ...basics,
          model: policy,
          learningRate: 1e-30,
          maxSteps: 1,
          promptsPerStep: 128,
          reward: (batch) => {
            seen.push(...batch);
            return batch.map(({ completion }) => vowelsOf(completion));
          },
        });
        await count(seen);
      }
      const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
      const half = shares.length / 2;
      expect(mean(shares.slice(half)), Object.keys(by)[0]).toBeGreaterThan(
        mean(shares.slice(0, half)) + 0.02,
      );
    }
  }, 120_000);

  it("goes on to the same bits, under LoRA", async () => {
    const dir = mkdtempSync(join(tmpdir(), "attune-pairwise-"));
    try {
      await basics.model.save(join(dir, "base"));
      const model = await loadModel(join(dir, "base"));
      const run = {
        ...basics,
        model,
        reward: vowels,
        promptsPerStep: 4,
        maxSteps: 2,
        saveSteps: 1,
        lora: { r: 2 },
      };
      const whole = await train({ ...run, outputDir: join(dir, "whole") });
      const stop = new AbortController();
      await train(
        { ...run, outputDir: join(dir, "run") },
        { signal: stop.signal, onStep: () => stop.abort() },
      );
      const second = await train({ ...run, outputDir: join(dir, "run"), resume: true });
      expect(second).toMatchObject({ steps: 2, reason: "done" });
      expect(values(second.model.adapter as never)).toEqual(values(whole.model.adapter as never));
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 120_000);

  it("leaves out pairs that the judge cannot tell apart or says nothing of, and counts them", async () => {
    const answers = [undefined, 0.5, 1, 0];
    const { metrics } = await train({
      ...basics,
      promptsPerStep: 4,
      maxSteps: 1,
      judge: async (pairs) => pairs.map((_, i) => answers[i]),
    });
    expect(metrics).toMatchObject({ "judge/excluded": 1, frac_ties: 0.25 });
    await expect(train({ ...basics, judge: async () => [1] })).rejects.toThrow(
      /judge of the pairs: one preference for each of 32 pairs is required, got 1/,
    );
    await expect(train({ ...basics, judge: async (pairs) => pairs.map(() => 2) })).rejects.toThrow(
      /a probability from 0 to 1 is required, got 2 for pair 1/,
    );
  });

  it("refuses what cannot work, each with one sentence", async () => {
    await expect(train(basics)).rejects.toThrow(/a reward or a judge is required, got neither/);
    await expect(train({ ...basics, reward: vowels, judge })).rejects.toThrow(/got both/);
    await expect(train({ ...basics, reward: vowels, beta: -1 })).rejects.toThrow(/beta: .*got -1/);
  });
});

describe("online DPO", () => {
  it("makes no step from ties alone", async () => {
    const { model, metrics } = await onlineDpo({ ...basics, reward: (b) => b.map(() => 1), maxSteps: 1 });
    expect(metrics.frac_ties).toBe(1);
    expect(values(model)).toEqual(values(basics.model));
  });
});

describe("Nash-MD", () => {
  it("plays against itself, the reference, or what is between", async () => {
    for (const mixtureCoef of [0, 0.25, 1]) {
      const { metrics } = await nashMd({
        ...basics,
        reward: vowels,
        mixtureCoef,
        maxSteps: 1,
        promptsPerStep: 4,
      });
      expect(metrics["objective/kl"]).toBeCloseTo(0, 3);
    }
    await expect(nashMd({ ...basics, reward: vowels, mixtureCoef: 2 })).rejects.toThrow(
      /mixture_coef: a share/,
    );
  });

  it("a token answers for the log-ratios from itself on, or as TRL has it for its own", () => {
    const [logProbs, reference] = [
      [-1, -2, -3],
      [-1.5, -2, -2],
    ];
    const weights = (klGradient: "sequence" | "token") =>
      Array.from(nashWeights(logProbs as number[], reference as number[], 0.7, { beta: 2, klGradient }));
    expect(weights("token")).toEqual([0.8, -0.2, -2.2].map((x) => expect.closeTo(x, 12)));
    expect(weights("sequence")).toEqual([-1.2, -2.2, -2.2].map((x) => expect.closeTo(x, 12)));
  });
});
