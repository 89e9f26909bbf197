import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TokenSequence } from "../../data/response-rows.ts";
import { createTokenPass, exactKlFigure } from "../../evaluate/token-pass.ts";
import { type Engine, type HostArray, type Tensor, type Tree, unflatten } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel, type Model } from "../../models/load.ts";
import type { RewardInput } from "../../reward/reward.ts";
import { grpo } from "../grpo.ts";
import { ppo } from "../ppo.ts";
import type { PpoOptions } from "../ppo-options.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { createKlBound } from "./kl-bound.ts";

let engine: Engine;
let folder: string;
let model: Model;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "attune-bound-"));
  await tinyModel().save(join(folder, "base"));
  model = await loadModel(join(folder, "base"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const prompts = ["The cat", "A dog runs", "The hen sleeps in", "A"].map((prompt) => ({ prompt }));
const settings = {
  batchSize: 16,
  responseLength: 6,
  numPpoEpochs: 2,
  maxSteps: 4,
  learningRate: 1e-2,
  lrSchedulerType: "constant",
  klCoef: 0,
} as const;

/** Trains for many low ids; what was sampled last is given too. */
async function train(options: Partial<PpoOptions>) {
  const all: Record<string, number>[] = [];
  let sampled: readonly RewardInput[] = [];
  const result = await ppo(
    {
      ...{ model, prompts, engine, ...settings },
      reward: (batch) => {
        sampled = batch;
        return batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length / 6);
      },
      ...options,
    },
    { onStep: ({ metrics }) => void all.push(metrics) },
  );
  const sequences = sampled.map(
    ({ promptIds = [], completionIds = [] }): TokenSequence => ({ promptIds, ids: completionIds }),
  );
  return { ...result, all, sequences };
}

/** KL(policy || model) in nats a token, from outside of the trainer. */
async function klOf(policy: Model, sequences: readonly TokenSequence[]) {
  const fixed = { policy: unflatten(policy.parameters), reference: unflatten(model.parameters) };
  const pick = (name: string) => (all: Tree<Tensor>) => (all.fixed as Tree<Tensor>)[name] as Tree<Tensor>;
  const pass = await createTokenPass(engine, exactKlFigure(model.config, pick("policy"), pick("reference")), {
    weights: {},
    fixed: fixed as Tree<HostArray>,
    batchSize: 8,
  });
  const rows = (await pass.run({}, sequences, 1)).flatMap((row) => [...row]);
  await pass.dispose();
  return rows.reduce((a, b) => a + b, 0) / rows.length;
}

const values = ({ parameters }: Pick<Model, "parameters">) =>
  Object.keys(parameters)
    .sort()
    .map((name) => Array.from(parameters[name]?.data as Float32Array));

describe("a hard bound on the KL to the reference", () => {
  it("holds after every iteration, where the KL would be many times as large, and the reward still rises", async () => {
    const klBound = 0.01;
    const free = await train({ klBound: 100 });
    expect(free.all.every((metrics) => metrics["constraint/scale"] === 1)).toBe(true);
    expect(free.metrics["constraint/kl"]).toBeGreaterThan(5 * klBound);
    const held = await train({ klBound, batchSize: 128, maxSteps: 6 });
    for (const metrics of held.all) {
      expect(metrics["constraint/kl"]).toBeLessThanOrEqual(klBound);
      expect(metrics["constraint/kl"]).toBeGreaterThan(klBound / 2);
    }
    expect(held.metrics["constraint/scale"]).toBeLessThan(1);
    const seen = await klOf(held.policy, held.sequences);
    expect(seen).toBeLessThanOrEqual(klBound * (1 + 1e-4));
    expect(seen).toBeCloseTo(held.metrics["constraint/kl"] as number, 5);
    const scores = held.all.map((metrics) => metrics["objective/scores"] as number);
    expect(Math.min(...scores.slice(-2))).toBeGreaterThan((scores[0] as number) + 0.02);
  });

  it("changes no bit where it is not reached", async () => {
    const [free, wide] = [await train({}), await train({ klBound: 100 })];
    expect(values(wide.policy)).toEqual(values(free.policy));
  });

  it("draws an adapter back to its base, and goes on to the same bits", async () => {
    const run = { klBound: 0.01, lora: { r: 2 }, learningRate: 5e-2, saveSteps: 1 };
    const whole = await train({ ...run, outputDir: join(folder, "whole") });
    expect(whole.all.some((metrics) => (metrics["constraint/scale"] as number) < 1)).toBe(true);
    expect(Math.max(...whole.all.map((metrics) => metrics["constraint/kl"] as number))).toBeLessThanOrEqual(
      0.01,
    );
    const stop = new AbortController();
    const outputDir = join(folder, "run");
    const reward = (batch: readonly RewardInput[]) =>
      batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length / 6);
    const half = { model, prompts, engine, ...settings, reward, ...run, outputDir };
    await ppo(half, { signal: stop.signal, onStep: ({ step }) => (step === 2 ? stop.abort() : undefined) });
    const second = await ppo({ ...half, resume: true });
    expect(values(second.policy.adapter as never)).toEqual(values(whole.policy.adapter as never));
    await expect(ppo({ ...half, resume: true, klBound: 0.02 })).rejects.toThrow(/klBound/);
  });

  it("holds for methods without a reference of their own", async () => {
    const seen: number[] = [];
    await grpo(
      {
        ...{ model, prompts, engine, ...settings, numGenerations: 4, maxCompletionLength: 6, klBound: 0.02 },
        reward: (batch) =>
          batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length),
      },
      { onStep: ({ metrics }) => void seen.push(metrics["constraint/kl"] as number) },
    );
    expect(seen).toHaveLength(4);
    expect(Math.max(...seen)).toBeLessThanOrEqual(0.02);
  });

  it("ends at the reference where nothing else is within it, and says when not even that is", async () => {
    const [start, now] = [new Float32Array([1, 2]), new Float32Array([3, 7])];
    const array = (data: Float32Array): HostArray => ({ dtype: "float32", shape: [2], data });
    const weights = await engine.put({ w: array(now) });
    const bound = createKlBound(engine, { bound: 1, weights, start: { w: array(start) } });
    const read = async () => Array.from((await engine.get(weights)).w?.data as Float32Array);
    // A KL that falls at the reference alone.
    const held = await bound.hold(async () => ((await read())[0] === 1 ? 0 : 1.01));
    expect(held).toEqual({ kl: 0, scale: 0 });
    expect(await read()).toEqual([1, 2]);
    await expect(bound.hold(async () => 2)).rejects.toThrow(/raise kl_bound above rounding/);
    await bound.dispose();
    await engine.free(weights);
  });

  it("refuses what cannot be held", async () => {
    await expect(train({ klBound: 0 })).rejects.toThrow(/kl_bound: nats per token above 0/);
    await expect(train({ klBound: 1, emaDecay: 0.9 })).rejects.toThrow(/leave ema_decay out/);
    await expect(train({ klBound: 1, lora: { r: 2 }, refModel: model })).rejects.toThrow(
      /the base of its adapter, so no ref_model can be given/,
    );
  });
});
