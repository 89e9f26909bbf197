import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import type { LocalEngine } from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import { configOf } from "../models/config/config.ts";
import { createModel } from "../models/load.ts";
import { allResponses, centred, type LogPolicy, logPolicyOf, optimalPolicy, valueOf } from "./optimum.ts";
import { drawPreferences } from "./preferences.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const logs = (...probabilities: number[]) => Float64Array.from(probabilities, Math.log);
const total = (row: Float64Array | undefined) => row?.reduce((sum, logProb) => sum + Math.exp(logProb), 0);

describe("all responses", () => {
  it("end with end-of-text or at the longest length, each once", () => {
    expect(allResponses(2, { eosTokenId: 0, maxLength: 3 })).toEqual([[0], [1, 0], [1, 1, 0], [1, 1, 1]]);
    const many = allResponses(5, { eosTokenId: 2, maxLength: 4 });
    expect(many).toHaveLength(1 + 4 + 16 + 4 ** 3 * 5);
    expect(new Set(many.map(String)).size).toBe(many.length);
  });

  it("have probabilities that sum to 1 under any model, whatever the prompt", async () => {
    const sizes = { vocabSize: 5, hiddenSize: 16, numLayers: 2, numHeads: 2, maxPositions: 16 };
    const responses = allResponses(5, { eosTokenId: 2, maxLength: 4 });
    const prompts = [[1], [3, 4, 0]];
    const policy = await logPolicyOf(engine, createModel(configOf("llama", sizes), 1), {
      prompts,
      responses,
    });
    for (const row of policy) expect(total(row)).toBeCloseTo(1, 5);
    expect(policy[0]).not.toEqual(policy[1]);
  });
});

describe("the optimum", () => {
  // pi* is 1/4 : 3/4 e^(ln 3 / 1) = 0.1 : 0.9, and J* = ln(1/4 + 3/4 * 3) = ln 2.5
  const reference = [logs(0.25, 0.75)];
  const rewards = [Float64Array.of(0, Math.log(3))];

  it("has the policy and the value worked out by hand", () => {
    const { policy, value } = optimalPolicy({ rewards }, reference, 1);
    expect([...(policy[0] as Float64Array)].map(Math.exp)).toEqual([
      expect.closeTo(0.1, 12),
      expect.closeTo(0.9, 12),
    ]);
    expect(value).toBeCloseTo(Math.log(2.5), 12);
    const kl = 0.1 * Math.log(0.1 / 0.25) + 0.9 * Math.log(0.9 / 0.75);
    const found = valueOf({ rewards }, policy, reference, 1);
    expect(found.kl).toBeCloseTo(kl, 12);
    expect(found.reward).toBeCloseTo(0.9 * Math.log(3), 12);
    expect(found.objective).toBeCloseTo(value, 12);
  });

  it("is the mean over prompts, and finite for a beta near 0, where it is the best reward", () => {
    const two = { rewards: [...rewards, Float64Array.of(5, 1)] };
    const both = [...reference, logs(0.5, 0.5)];
    expect(optimalPolicy(two, both, 1e-4).value).toBeCloseTo((Math.log(3) + 5) / 2, 3);
    expect(() => optimalPolicy(two, both, 0)).toThrow("a beta above 0 is required, got 0");
  });

  it("is not exceeded by any policy, and missed by beta KL(pi || pi*)", () => {
    const random = (seed: number): LogPolicy =>
      [0, 1].map((x) => {
        const weights = Float64Array.from({ length: 6 }, (_, y) => uniform(seed, x, y));
        const sum = weights.reduce((a, b) => a + b, 0);
        return weights.map((w) => Math.log(w / sum));
      });
    const ref = random(0);
    const beta = 0.3;
    const problem = { rewards: random(1) };
    const best = optimalPolicy(problem, ref, beta);
    for (let seed = 2; seed < 30; seed++) {
      const policy = random(seed);
      const { objective } = valueOf(problem, policy, ref, beta);
      expect(objective).toBeLessThan(best.value);
      const away = valueOf(problem, policy, best.policy, beta).kl;
      expect(best.value - objective).toBeCloseTo(beta * away, 10);
    }
  });

  it("is 0 for the reference once rewards are centred", () => {
    const problem = { rewards: centred(rewards, reference) };
    expect(valueOf(problem, reference, reference, 1)).toEqual({
      objective: expect.closeTo(0, 12),
      reward: expect.closeTo(0, 12),
      kl: 0,
    });
  });
});

it("preferences are drawn from the reference, and chosen as Bradley and Terry have it", () => {
  const reference = [logs(0.5, 0.3, 0.2)];
  const problem = { rewards: [Float64Array.of(0, 1, -1)] };
  const pairs = drawPreferences(problem, reference, { n: 20_000, seed: 3 });
  expect(drawPreferences(problem, reference, { n: 20_000, seed: 3 })).toEqual(pairs);
  const of = (a: number, b: number) =>
    pairs.filter(({ chosen, rejected }) => chosen === a && rejected === b).length;
  expect(of(0, 0)).toBe(0);
  expect(of(1, 0) / (of(1, 0) + of(0, 1))).toBeCloseTo(1 / (1 + Math.exp(-1)), 1.5);
  expect(of(1, 2) / (of(1, 2) + of(2, 1))).toBeCloseTo(1 / (1 + Math.exp(-2)), 1);
  // the second response is drawn among those that differ from the first
  expect((of(1, 2) + of(2, 1)) / pairs.length).toBeCloseTo(0.3 * (0.2 / 0.7) + 0.2 * (0.3 / 0.8), 1);
});
