import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import type { LocalEngine } from "../graph/index.ts";
import { dpo } from "../train/dpo.ts";
import { lettersProblem } from "./letters.ts";
import { logPolicyOf, optimalPolicy, valueOf } from "./optimum.ts";
import { drawPreferences } from "./preferences.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

describe("a problem of letters", () => {
  it("has rewards of mean 0 and the asked spread under the reference, whose own objective is 0", async () => {
    const problem = await lettersProblem(engine, { spread: 3, prompts: 2 });
    const { reference, rewards } = problem;
    for (const [x, row] of rewards.entries()) {
      const under = (f: (r: number) => number) =>
        row.reduce((sum, r, y) => sum + f(r) * Math.exp(reference[x]?.[y] as number), 0);
      expect(under((r) => r)).toBeCloseTo(0, 4);
      expect(under((r) => r * r)).toBeCloseTo(9, 3);
    }
    expect(valueOf(problem, reference, reference, 1).objective).toBeCloseTo(0, 4);
  });

  it("is the same for the same seed, and another for another", async () => {
    const { rewards, prompts } = await lettersProblem(engine, { seed: 1 });
    expect((await lettersProblem(engine, { seed: 1 })).rewards).toEqual(rewards);
    expect((await lettersProblem(engine, { seed: 2 })).rewards).not.toEqual(rewards);
    expect(new Set(prompts.map(String)).size).toBe(prompts.length);
  });

  it("has texts that come back as the ids that they were, with and without an end", async () => {
    const { model, responses, text } = await lettersProblem(engine);
    for (const ids of responses) expect(model.tokenizer?.encode(text(ids))).toEqual(ids);
    expect(text([1, 2, 0])).toBe("ab</s>");
  });

  it("lets DPO gain most of what is to be gained, from preferences and no reward", async () => {
    const problem = await lettersProblem(engine, { letters: 2, prompts: 2, maxLength: 2, hiddenSize: 16 });
    const { prompts, responses, reference, text, model } = problem;
    const pairs = drawPreferences(problem, reference, { n: 4096 });
    const trained = await dpo({
      model,
      engine,
      beta: 1,
      data: pairs.map(({ prompt, chosen, rejected }) => ({
        prompt: text(prompts[prompt] as number[]),
        chosen: text(responses[chosen] as number[]),
        rejected: text(responses[rejected] as number[]),
      })),
      maxLength: 4,
      batchSize: 128,
      learningRate: 1e-2,
      numEpochs: 2,
    });
    const policy = await logPolicyOf(engine, trained.model, problem);
    const { objective } = valueOf(problem, policy, reference, 1);
    expect(objective / optimalPolicy(problem, reference, 1).value).toBeGreaterThan(0.85);
  });
});
