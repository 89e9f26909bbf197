import { describe, expect, it } from "vitest";
import { createEngine } from "../graph/node.ts";
import { collectPairs } from "./collect.ts";
import { tinyModel } from "./tiny.fixture.ts";

const model = tinyModel();
const prompts = ["the cat", "what is", "the mat"].map((text) => ({
  text,
  ids: model.tokenizer?.encode(text) ?? [],
}));
const length = (batch: readonly { completion: string }[]) => batch.map(({ completion }) => completion.length);

describe("pairs from a model's own samples", () => {
  it("prefer the response with the higher score, the same ones for the same seed", async () => {
    const engine = await createEngine();
    try {
      const options = {
        model,
        prompts,
        reward: length,
        engine,
        samples: 3,
        responseLength: 6,
        terminatedOnly: false,
      };
      const pairs = await collectPairs(options);
      expect(pairs.length).toBeGreaterThan(0);
      for (const { chosen, rejected, score_chosen, score_rejected } of pairs) {
        expect([chosen.length, rejected.length]).toEqual([score_chosen, score_rejected]);
        expect(score_chosen).toBeGreaterThan(score_rejected);
      }
      expect(await collectPairs(options)).toEqual(pairs);
      const turned = await collectPairs({ ...options, noise: 1 });
      expect(turned.map(({ chosen }) => chosen)).toEqual(pairs.map(({ rejected }) => rejected));
      const alike = await collectPairs({ ...options, reward: (batch) => batch.map(() => 1) });
      expect(alike).toEqual([]);
    } finally {
      await engine.dispose();
    }
  });

  it("are as many of a prompt as are asked for, and no response is in two of them", async () => {
    const engine = await createEngine();
    try {
      const options = { model, prompts, reward: length, engine, samples: 6, responseLength: 6 };
      const one = await collectPairs({ ...options, terminatedOnly: false });
      const three = await collectPairs({ ...options, terminatedOnly: false, pairsPerPrompt: 3 });
      expect(three.length).toBeGreaterThan(one.length);
      for (const { text } of prompts) {
        const of = (pairs: typeof one) => pairs.filter(({ prompt }) => prompt === text);
        const margins = of(three).map((pair) => pair.score_chosen - pair.score_rejected);
        expect(of(three)[0]).toEqual(of(one)[0]);
        expect(margins).toEqual([...margins].sort((a, b) => b - a));
        expect(margins.length).toBeLessThanOrEqual(3);
      }
      await expect(collectPairs({ ...options, pairsPerPrompt: 4 })).rejects.toThrow(/half of the 6 samples/);
    } finally {
      await engine.dispose();
    }
  });

  it("need two samples", async () => {
    const engine = await createEngine();
    await expect(collectPairs({ model, prompts, reward: length, engine, samples: 1 })).rejects.toThrow(
      /at least 2/,
    );
    await engine.dispose();
  });
});
