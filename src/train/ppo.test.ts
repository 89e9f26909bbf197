import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, mul, neg } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, loadModel, type Model, withParameters } from "../models/load.ts";
import { withScoreHead } from "../models/score-head.ts";
import type { Reward } from "../reward/reward.ts";
import type { StepInput } from "./policy/checks.ts";
import { createPpo } from "./policy/ppo-algorithm.ts";
import { ppo } from "./ppo.ts";
import type { PpoOptions } from "./ppo-options.ts";
import { tinyModel } from "./tiny.fixture.ts";

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "attune-ppo-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** One layer: most of what these tests take is compiling. */
function smallModel(seed = 0): Model {
  const { tokenizer, config } = tinyModel();
  const sizes = { hiddenSize: 32, numLayers: 1, numHeads: 2, intermediateSize: 32, maxPositions: 64 };
  const { vocabSize, eosTokenIds } = config;
  const shape = configOf("llama", { ...sizes, vocabSize, tieEmbeddings: true, eosTokenId: eosTokenIds });
  return createModel(shape, seed, tokenizer, "tiny");
}
const model = smallModel();
const prompts = ["The cat", "A dog runs", "The hen sleeps in", "A"].map((prompt) => ({ prompt }));
/** The share of the first 70 ids. */
const lowIds: Reward = (batch) =>
  batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length / 8);
const small = { batchSize: 8, responseLength: 6, numPpoEpochs: 2, maxSteps: 2, learningRate: 1e-3 };

async function train(options: Partial<PpoOptions> = {}) {
  const metrics: Record<string, number>[] = [];
  const warnings: string[] = [];
  const result = await ppo(
    { model, prompts, reward: lowIds, engine, ...small, ...options },
    { onStep: (report) => void metrics.push(report.metrics), onWarning: (text) => warnings.push(text) },
  );
  return { ...result, all: metrics, warnings };
}

const learning = {
  batchSize: 32,
  responseLength: 8,
  maxSteps: 8,
  learningRate: 3e-2,
  numPpoEpochs: 4,
  lrSchedulerType: "constant",
} as const;

const first = (rows: readonly Record<string, number>[], name: string) => rows[0]?.[name] as number;
const last = (rows: readonly Record<string, number>[], name: string) => rows.at(-1)?.[name] as number;

describe("learning", () => {
  it("raises a rule reward within seconds, and a strong pull to the reference keeps the KL small", async () => {
    const free = await train({ ...learning, klCoef: 0.001 });
    expect(first(free.all, "objective/scores")).toBeLessThan(0.4);
    expect(last(free.all, "objective/scores")).toBeGreaterThan(0.6);
    const held = await train({ ...learning, klCoef: 5 });
    expect(last(held.all, "objective/kl")).toBeLessThan(0.2 * last(free.all, "objective/kl"));
  });

  it("reports scores as the reward gave them, whatever is whitened, and never their normalised form", async () => {
    const shifted: Reward = async (batch) => (await lowIds(batch)).map((x) => x + 100);
    const { all } = await train({ reward: shifted, whitenRewards: true, maxSteps: 1 });
    expect(first(all, "objective/scores")).toBeGreaterThan(100);
    const {
      "objective/rlhf_reward": rlhf,
      "objective/scores": scores,
      ...rest
    } = all[0] as Record<string, number>;
    expect(rlhf).toBeCloseTo((scores as number) + (rest["objective/non_score_reward"] as number), 10);
  });
});

describe("the start", () => {
  it("has a ratio of 1 and no KL: sampling, scoring and training compute the same log-probabilities", async () => {
    for (const temperature of [0.7]) {
      const { all } = await train({ temperature, maxSteps: 1, numPpoEpochs: 1 });
      expect(first(all, "val/ratio")).toBeCloseTo(1, 4);
      expect(first(all, "policy/approxkl_avg")).toBeLessThan(1e-8);
      expect(Math.abs(first(all, "objective/kl"))).toBeLessThan(1e-4);
      // A value head of zeros: the values are 0, so half the mean squared return is what is left.
      expect(first(all, "val/clipfrac_avg")).toBe(0);
    }
  });

  it("stops when responses were not sampled from the policy, or their log-probabilities set to zeros", async () => {
    const trainer = await createPpo({ model, engine, ...small }, { totalSteps: 2 });
    const batch = rowsOf(8);
    const responses = await trainer.rollout(batch);
    const rewards = responses.map(() => 1);
    const zeros = responses.map((r) => ({ ...r, logProbs: r.logProbs.map(() => 0) }));
    await expect(trainer.step({ prompts: batch, responses: zeros, rewards })).rejects.toThrow(
      /log-probabilities at sampling and in training differ by up to .* nats/,
    );
    const heated = await createPpo({ model, engine, ...small, temperature: 1.2 }, { totalSteps: 2 });
    await expect(heated.step({ prompts: batch, responses, rewards })).rejects.toThrow(/temperature 1.2/);
    await trainer.dispose();
    await heated.dispose();
  });

  it("in 8 bits says how far sampling is off instead, and corrects for it", async () => {
    const { all, warnings } = await train({ int8Rollouts: true, maxSteps: 1 });
    expect(first(all, "val/sampling_offset")).toBeGreaterThan(1e-4);
    expect(warnings.join()).toMatch(/sampling in 8 bits moves log-probabilities by up to/);
    expect(first(all, "val/ratio")).toBeCloseTo(1, 1);
  });
});

const rowsOf = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ ids: model.tokenizer?.encode(prompts[i % 4]?.prompt ?? "") ?? [] }));

describe("a step on responses from elsewhere", () => {
  const input = (): StepInput => ({
    prompts: rowsOf(8),
    responses: rowsOf(8).map((_, i) => ({ ids: [30 + i, 40, 50 + (i % 3)], terminated: i % 2 === 0 })),
    rewards: [0, 1, 2, 3, 4, 5, 6, 7],
  });

  it("computes what log-probabilities are missing, and is the same whatever the order of its rows", async () => {
    const found = [];
    for (const turn of [false, true]) {
      const trainer = await createPpo({ model, engine, ...small }, { totalSteps: 2 });
      const { prompts: p, responses, rewards } = input();
      const order = <T>(list: readonly T[]) => (turn ? list.toReversed() : list);
      found.push(
        await trainer.step({ prompts: order(p), responses: order(responses), rewards: order(rewards) }),
      );
      await trainer.dispose();
    }
    for (const name of ["objective/kl", "objective/scores", "loss/policy_avg", "loss/value_avg", "val/ratio"])
      expect(found[1]?.[name]).toBeCloseTo(found[0]?.[name] as number, 5);
    expect(found[0]?.["objective/scores"]).toBe(3.5);
    expect(found[0]?.["val/num_eos_tokens"]).toBe(4);
  });

  it("takes the penalty for a missing end off the scores of responses that were cut off", async () => {
    const trainer = await createPpo({ model, engine, ...small, missingEosPenalty: 2 }, { totalSteps: 2 });
    expect((await trainer.step(input()))["objective/scores"]).toBe(2.5);
    await trainer.dispose();
  });

  it("refuses another number of rows, rewards that are no numbers, and responses without tokens", async () => {
    const trainer = await createPpo({ model, engine, ...small }, { totalSteps: 2 });
    const given = input();
    await expect(trainer.step({ ...given, rewards: [1] })).rejects.toThrow(
      /8 responses and rewards are required .*, to 8 prompts; got 8, 1 and 8/,
    );
    const bad = given.rewards.with(3, Number.NaN);
    await expect(trainer.step({ ...given, rewards: bad })).rejects.toThrow(/number 3 is NaN/);
    const empty = given.responses.with(2, { ids: [], terminated: true });
    await expect(trainer.step({ ...given, responses: empty })).rejects.toThrow(/response 2 has 0/);
    await trainer.dispose();
  });
});

const sameBits = (a: Model, b: Model) => {
  for (const [name, { data }] of Object.entries(a.parameters))
    expect(b.parameters[name]?.data, name).toEqual(data);
};

describe("what takes part", () => {
  it.each<[string, Partial<PpoOptions>]>([
    ["an adapter, the exact KL", { lora: { r: 2 }, klEstimator: "exact" }],
    [
      "an adapter on a shared backbone, an entropy bonus",
      { lora: { r: 2 }, sharedBackbone: true, entropyCoef: 0.01 },
    ],
    [
      "minibatches of micro-batches, an adaptive coefficient",
      {
        numMiniBatches: 2,
        batchSize: 2,
        gradientAccumulation: 4,
        klSchedule: "adaptive",
        klTarget: 0.01,
        klHorizon: 100,
      },
    ],
    [
      "a shared backbone, the KL in the loss, a bound on it, SGD, a loss of one's own",
      {
        ...{ sharedBackbone: true, klIn: "loss", klEstimator: "k3", targetKl: 10, optimizer: "sgd" },
        policyLoss: ({ logProbs, advantages }) => neg(mul(logProbs, advantages)),
      },
    ],
  ])("%s: runs, stops, and goes on to the same bits", async (name, options) => {
    const base = join(folder, "base");
    if (options.lora) await model.save(base);
    const start = options.lora ? await loadModel(base) : model;
    const at = (part: string) => join(folder, name.replaceAll(/\W/g, "-"), part);
    const whole = await train({ ...options, model: start, outputDir: at("whole"), saveSteps: 1 });
    const stop = new AbortController();
    const shared = { model: start, prompts, reward: lowIds, engine, ...small, ...options };
    const half = await ppo(
      { ...shared, outputDir: at("half") },
      { signal: stop.signal, onStep: () => stop.abort() },
    );
    expect([half.steps, half.reason]).toEqual([1, "stopped"]);
    const rest = await ppo({ ...shared, outputDir: at("half"), resume: true });
    expect([rest.steps, rest.reason]).toEqual([2, "done"]);
    sameBits(whole.policy, rest.policy);
    sameBits(whole.critic, rest.critic);
    for (const [key, value] of Object.entries(whole.metrics))
      if (!/^(time|eps)/.test(key)) expect(rest.metrics[key], key).toBe(value);
    const saved = await loadModel(join(at("half"), "critic"));
    expect(saved.config.numLabels).toBe(1);
    const samples = (await readFile(join(at("half"), "samples.jsonl"), "utf8")).trim().split("\n");
    expect(samples.length).toBe(8);
    expect(Object.keys(JSON.parse(samples[0] as string)).toSorted()).toEqual([
      "completion",
      "prompt",
      "score",
      "step",
      "terminated",
    ]);
  });

  it("the critic trains at a rate of its own, and starts as the policy, a reward model, or a given one", async () => {
    const still = await train({ learningRate: 0, criticLearningRate: 1e-2 });
    sameBits(still.policy, model);
    expect(still.critic.parameters["score.weight"]?.data.some((x) => x !== 0)).toBe(true);
    const judge = withScoreHead(smallModel(3), { head: "random", seed: 4 });
    const judged = await train({ reward: judge, critic: "reward", learningRate: 0, maxSteps: 1 });
    sameBits(judged.critic, withScoreHead(judge, { head: "zeros" }));
    const kept = await train({ critic: judge, learningRate: 0, maxSteps: 1 });
    sameBits(kept.critic, judge);
  });

  it("the reward gets ids, text, the flag of the end and the row's columns", async () => {
    let seen: unknown[] = [];
    const reward: Reward = (batch) => {
      seen = [...batch];
      return batch.map(() => 0);
    };
    await train({ reward, maxSteps: 1, prompts: [{ prompt: "The cat", level: "high" }] });
    expect(seen.length).toBe(8);
    expect(seen[0]).toMatchObject({
      prompt: "The cat",
      promptIds: model.tokenizer?.encode("The cat"),
      terminated: expect.any(Boolean),
      completion: expect.any(String),
      row: { level: "high" },
    });
  });
});

describe("refuses", () => {
  it.each<[string, Partial<PpoOptions>, RegExp]>([
    ["k1 in the loss", { klIn: "loss" }, /kl_estimator: k2 or k3 .* whose gradient is zero in expectation/],
    ["a negative beta", { klCoef: -0.1 }, /kl_coef: at least 0/],
    ["minibatches that do not divide", { numMiniBatches: 3 }, /num_mini_batches: a divisor of the 8/],
    ["a response that does not fit the context", { responseLength: 64 }, /context of tiny is 64 tokens/],
    ["no epochs", { numPpoEpochs: 0 }, /num_ppo_epochs: a whole number of at least 1/],
    ["a penalty with the wrong sign", { missingEosPenalty: -1 }, /missing_eos_penalty/],
    ["a reward model's critic without one", { critic: "reward" }, /needs a reward that is a model/],
    [
      "a reward that is not a number",
      { reward: (b) => b.map(() => Number.NaN) },
      /a finite number is required, got NaN/,
    ],
    ["a reward of the wrong count", { reward: () => [1] }, /one score for each of 8 rows is required, got 1/],
    ["no prompts", { prompts: [] }, /prompt|rows|left/],
  ])("%s", async (_, options, message) => {
    await expect(train(options)).rejects.toThrow(message);
  });

  it("a reference with another tokenizer, and one whose vocabulary differs", async () => {
    const { tokenizer } = model;
    const other = { ...model, tokenizer: tokenizer?.addTokens(["<x>"] as never).tokenizer } as Model;
    await expect(train({ refModel: other })).rejects.toThrow(
      /ref_model: tiny has another tokenizer than the policy/,
    );
  });

  it("to go on without its reward, after writing a checkpoint from which the run is resumed to the same bits", async () => {
    const outputDir = join(folder, "reward-down");
    let calls = 0;
    const failing: Reward = (batch) => {
      if (++calls === 2) throw new Error("connection refused");
      return lowIds(batch);
    };
    await expect(train({ reward: failing, outputDir, saveSteps: 10 })).rejects.toThrow(/connection refused/);
    const rest = await train({ outputDir, resume: true, saveSteps: 10 });
    expect(rest.all.length).toBe(1);
    sameBits(rest.policy, (await train()).policy);
  });

  it("a step that does not fit into memory", async () => {
    const huge = { responseLength: 60, batchSize: 1 << 22, gradientAccumulation: 1 };
    await expect(train(huge)).rejects.toThrow(/a step takes about .* GB/);
  });

  it("a given reference is what the KL is measured against", async () => {
    const noisy = withParameters(model, smallModel(5).parameters);
    const { all } = await train({ refModel: noisy, maxSteps: 1, klEstimator: "k3" });
    expect(first(all, "objective/kl")).toBeGreaterThan(1e-3);
  });
});
