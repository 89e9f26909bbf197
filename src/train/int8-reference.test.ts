import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { frozenWeights } from "../generate/weights.ts";
import { type Engine, flatten, type HostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { configOf, type Family } from "../models/config/config.ts";
import { createModel } from "../models/load.ts";
import { withScoreHead } from "../models/score-head.ts";
import { openReward } from "../reward/node-open.ts";
import { createScorer } from "../reward/scorer.ts";
import { dpo } from "./dpo.ts";
import { grpo } from "./grpo.ts";
import { onlineDpo } from "./online-dpo.ts";
import { ppo } from "./ppo.ts";
import { preferences, tinyModel } from "./tiny.fixture.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const sizes = { vocabSize: 300, hiddenSize: 64, numLayers: 2, numHeads: 2, maxPositions: 64, eosTokenId: 2 };
const judgeOf = (family: Family) =>
  withScoreHead(createModel(configOf(family, sizes, { initializer_range: 0.2 }), 3), { seed: 5 });
const bytes = (arrays: ReturnType<typeof frozenWeights>["arrays"]) =>
  Object.values(flatten(arrays) as Record<string, HostArray>).reduce((n, { data }) => n + data.byteLength, 0);

describe("weights in 8 bits", () => {
  it.each(["llama", "gpt2", "bert", "distilbert"] as const)(
    "%s: only projections are, a quarter as large; tables and the head of scores stay",
    (family) => {
      const model = judgeOf(family);
      const held = flatten(frozenWeights(model, true).arrays) as Record<string, HostArray>;
      const names = Object.keys(held);
      const kept = Object.keys(model.parameters).filter((name) => names.includes(name));
      expect(
        kept.filter((name) => /embed|wte|wpe|score|classifier|pooler|norm|ln_|LayerNorm/.test(name)),
      ).toEqual(
        Object.keys(model.parameters).filter((name) =>
          /embed|wte|wpe|score|classifier|pooler|norm|ln_|LayerNorm/.test(name),
        ),
      );
      const quantized = names.filter((name) => name.endsWith(".int8"));
      expect(quantized.length).toBeGreaterThanOrEqual(2 * 4);
      for (const name of quantized) {
        const float = model.parameters[name.replace(/\.int8$/, "")];
        expect(float?.shape).toHaveLength(2);
        expect(held[name]?.dtype).toBe("uint8");
      }
      expect(bytes(frozenWeights(model, true).arrays)).toBeLessThan(
        0.6 * bytes(frozenWeights(model, false).arrays),
      );
    },
  );

  it.each(["llama", "gpt2", "bert"] as const)(
    "%s: scores are nearly those of the whole model",
    async (family) => {
      const model = judgeOf(family);
      const rows = Array.from({ length: 24 }, (_, i) =>
        Array.from({ length: 6 + (i % 9) }, (_, t) => (7 * i + 13 * t) % 300),
      );
      const scores = async (int8: boolean) => {
        const scorer = await createScorer(engine, model, { int8 });
        const found = await scorer.scores(rows);
        await scorer.dispose();
        return found;
      };
      const [whole, small] = [await scores(false), await scores(true)];
      const mean = whole.reduce((a, b) => a + b, 0) / whole.length;
      const spread = Math.sqrt(whole.reduce((sum, x) => sum + (x - mean) ** 2, 0) / whole.length);
      const off = Math.sqrt(
        whole.reduce((sum, x, i) => sum + (x - (small[i] as number)) ** 2, 0) / whole.length,
      );
      expect(off).toBeGreaterThan(0);
      expect(off / spread).toBeLessThan(0.2);
    },
  );

  it("a reward is opened with int8 as an option, and anything but true or false is refused", async () => {
    const open = (spec: string) => openReward(spec, { engine });
    await expect(open("model:/nowhere/at-all?int8=yes")).rejects.toThrow();
    await expect(open("model:.?int8=yes")).rejects.toThrow(/int8.*true or false is required/);
  });
});

describe("a reference in 8 bits", () => {
  const model = tinyModel();
  const prompts = ["The cat", "A dog runs", "The hen sleeps in", "A"].map((prompt) => ({ prompt }));
  const reward = (batch: readonly { readonly completionIds?: readonly number[] }[]) =>
    batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length / 8);
  const small = { model, prompts, reward, batchSize: 8, responseLength: 6, maxSteps: 2 } as const;

  it.each([
    ["ppo", (hooks: object) => ppo({ ...small, engine, int8Reference: true }, hooks)],
    [
      "grpo",
      (hooks: object) =>
        grpo(
          { ...small, engine, beta: 0.1, numGenerations: 4, maxCompletionLength: 6, int8Reference: true },
          hooks,
        ),
    ],
  ] as const)(
    "%s goes on, and says how far it is off in the place of the check at the start",
    async (_, train) => {
      const steps: Record<string, number>[] = [];
      const warnings: string[] = [];
      await train({
        onStep: ({ metrics }: { metrics: Record<string, number> }) => void steps.push(metrics),
        onWarning: (text: string) => void warnings.push(text),
      });
      const offset = steps[0]?.["val/reference_offset"] as number;
      expect(offset).toBeGreaterThan(1e-5);
      expect(offset).toBeLessThan(0.2);
      expect(warnings).toContain(
        `a reference in 8 bits moves log-probabilities by up to ${offset.toFixed(3)} nats`,
      );
      expect(steps[1]?.["val/reference_offset"]).toBeUndefined();
    },
  );

  it("DPO starts near its reference instead of at it", async () => {
    const first = async (int8Reference: boolean, precomputeRefLogProbs: boolean) => {
      const steps: Record<string, number>[] = [];
      const warnings: string[] = [];
      await dpo(
        { model, data: preferences, batchSize: 8, maxSteps: 1, engine, int8Reference, precomputeRefLogProbs },
        { onStep: ({ metrics }) => void steps.push(metrics), onWarning: (text) => void warnings.push(text) },
      );
      return { loss: steps[0]?.loss as number, warnings };
    };
    for (const before of [true, false]) {
      const [whole, small] = [await first(false, before), await first(true, before)];
      expect(whole.loss).toBeCloseTo(Math.LN2, 5);
      expect(whole.warnings).toEqual([]);
      expect(small.loss).not.toBeCloseTo(Math.LN2, 6);
      expect(small.loss).toBeCloseTo(Math.LN2, 1);
      expect(small.warnings).toHaveLength(1);
      expect(small.warnings[0]).toMatch(
        /8 bits moves log-probabilities of responses by 0\.\d{3} nats on average/,
      );
    }
  });

  it("online DPO takes one too", async () => {
    const seen: string[] = [];
    const { steps } = await onlineDpo(
      { ...small, engine, promptsPerStep: 4, int8Reference: true },
      { onStep: ({ metrics }) => void seen.push(...Object.keys(metrics)) },
    );
    expect([steps, seen.length > 0]).toEqual([2, true]);
  });

  it("under LoRA the reference is the base, so there is nothing to hold", async () => {
    await expect(ppo({ ...small, engine, lora: {}, int8Reference: true })).rejects.toThrow(
      /int8_reference: under LoRA the reference is the base/,
    );
  });
});
