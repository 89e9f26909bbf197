import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add, div, type Engine, mul, square, sub } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { addTokens } from "../models/load.ts";
import { dpo } from "./dpo.ts";
import type { DpoOptions } from "./dpo-options.ts";
import type { PreferenceTerms } from "./preference/preference-losses.ts";
import { preferences, tinyModel } from "./tiny.fixture.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-dpo-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const model = tinyModel();
const basics = {
  model,
  data: preferences,
  learningRate: 2e-3,
  batchSize: 8,
  threads: 1,
} satisfies DpoOptions;
const named = [
  "rewards/chosen",
  "rewards/rejected",
  "rewards/margins",
  "rewards/accuracies",
  "logps/chosen",
  "logps/rejected",
] as const;

/** The metrics of every step. */
async function trace(options: DpoOptions) {
  const steps: Record<string, number>[] = [];
  const warnings: string[] = [];
  const result = await dpo(options, {
    onStep: ({ metrics }) => void steps.push({ ...metrics }),
    onWarning: (text) => void warnings.push(text),
  });
  return { steps, result, warnings };
}

describe("dpo", () => {
  it("starts at the reference, with loss log 2 and rewards of 0, and learns which responses are preferred", async () => {
    const { steps, result } = await trace({ ...basics, maxSteps: 30, evalData: preferences.slice(0, 6) });
    const [first] = steps as [Record<string, number>];
    expect(first.loss).toBeCloseTo(Math.LN2, 5);
    for (const name of ["rewards/chosen", "rewards/rejected", "rewards/margins"] as const)
      expect(first[name]).toBeCloseTo(0, 5);
    expect(result.metrics.loss).toBeLessThan(0.5);
    expect(result.metrics["rewards/accuracies"]).toBe(1);
    expect(result.metrics["eval_rewards/margins"]).toBeGreaterThan(0.5);
    for (const name of named) {
      expect(result.metrics).toHaveProperty([name]);
      expect(result.metrics).toHaveProperty([`eval_${name}`]);
    }
    const { "rewards/chosen": chosen, "rewards/rejected": rejected } = result.metrics as Record<
      string,
      number
    >;
    expect(result.metrics["rewards/margins"]).toBeCloseTo((chosen as number) - (rejected as number), 4);
  });

  it("does the opposite when the columns are exchanged", async () => {
    const exchanged = preferences.map(({ prompt, chosen, rejected }) => ({
      prompt,
      chosen: rejected,
      rejected: chosen,
    }));
    const { result } = await trace({ ...basics, maxSteps: 20 });
    const other = await trace({ ...basics, data: exchanged, maxSteps: 20, evalData: preferences });
    expect(result.metrics["rewards/margins"]).toBeGreaterThan(0.3);
    expect(other.result.metrics["eval_rewards/margins"]).toBeLessThan(-0.3);
  });

  it("the step does not depend on the size of the micro-batches, nor on when the reference is asked", async () => {
    const settings = { ...basics, maxSteps: 3, optimizer: "sgd", learningRate: 0.1, rpoAlpha: 0.5 } as const;
    const whole = await trace({ ...settings, batchSize: 8 });
    for (const change of [{ batchSize: 4, gradientAccumulation: 2 }, { precomputeRefLogProbs: false }]) {
      const { steps } = await trace({ ...settings, ...change });
      for (const [i, step] of steps.entries())
        for (const name of ["loss", "grad_norm", "nll_loss", ...named])
          expect(step[name], name).toBeCloseTo(whole.steps[i]?.[name] as number, 3);
    }
  });

  it("an adapter has the base as its reference, and the added likelihood holds the chosen responses up", async () => {
    const lora = { r: 4, loraAlpha: 8 };
    const { steps, result } = await trace({ ...basics, lora, learningRate: 0.02, maxSteps: 20 });
    expect(steps[0]?.loss).toBeCloseTo(Math.LN2, 5);
    expect(result.metrics["rewards/margins"]).toBeGreaterThan(0.2);
    expect(result.model.adapter).toBeDefined();
    const [plain, held] = [
      await trace({ ...basics, maxSteps: 20 }),
      await trace({ ...basics, maxSteps: 20, rpoAlpha: 2 }),
    ];
    expect(held.result.metrics["logps/chosen"]).toBeGreaterThan(
      plain.result.metrics["logps/chosen"] as number,
    );
  });

  it("takes a loss of one's own, on the pair or on the batch", async () => {
    const lossType = ({ margin }: PreferenceTerms) => square(sub(margin, 5));
    const { steps } = await trace({ ...basics, lossType, maxSteps: 1 });
    expect(steps[0]?.loss).toBeCloseTo(25, 3);
    const doubled = await trace({
      ...basics,
      maxSteps: 1,
      loss: (params, batch, { usual }) => {
        const { loss, metrics } = usual(params, batch);
        return { loss: mul(loss, 2), ...(metrics && { metrics }) };
      },
    });
    expect(doubled.steps[0]?.loss).toBeCloseTo(2 * Math.LN2, 5);
    expect(doubled.steps[0]?.["rewards/chosen"]).toBeCloseTo(0, 5);
  });

  it("keeps what the reference says beside the run, and asks again when model or pairs are others", async () => {
    const outputDir = join(folder, "kept");
    const files = async () => (await readdir(outputDir)).filter((name) => name.startsWith(".reference"));
    const engine = await createEngine({ threads: 1 });
    let loads = 0;
    const counting = new Proxy(engine, {
      get: (target, name) => {
        if (name === "load") loads++;
        const value = target[name as keyof Engine] as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const run = (change: Partial<DpoOptions> = {}) =>
      trace({ ...basics, outputDir, maxSteps: 2, overwrite: true, engine: counting, ...change });
    const first = await run();
    expect(await files()).toHaveLength(1);
    const fresh = loads;
    loads = 0;
    const again = await run();
    expect(loads).toBeLessThan(fresh); // the reference's program was not needed
    expect(again.steps).toEqual(first.steps);
    await run({ data: preferences.slice(1) });
    expect(await files()).toHaveLength(2);
    await run({ refModel: tinyModel(1) });
    expect(await files()).toHaveLength(3);
    await engine.dispose();
  });

  it("without a reference takes log-probabilities as they are", async () => {
    const { steps, warnings } = await trace({ ...basics, referenceFree: true, maxSteps: 12 });
    const [first] = steps as [Record<string, number>];
    expect(first["rewards/chosen"]).toBeCloseTo(0.1 * (first["logps/chosen"] as number), 4);
    expect(steps.at(-1)?.["rewards/margins"]).toBeGreaterThan(first["rewards/margins"] as number);
    expect(warnings.join()).not.toContain("has fallen"); // from nothing
  });

  it("says so when the chosen responses lose their probability while the margin grows", async () => {
    // towards chosen responses that are 90 nats less likely, and the margin up
    const lossType = ({ chosen, margin }: PreferenceTerms) =>
      sub(square(div(add(chosen, 90), 20)), mul(margin, 0.3));
    const { warnings, result } = await trace({ ...basics, lossType, learningRate: 0.02, maxSteps: 30 });
    expect(result.metrics["rewards/margins"]).toBeGreaterThan(0);
    expect(warnings.join()).toMatch(/chosen responses has fallen from -[\d.]+ to -[\d.]+ nats.*rpo_alpha/);
  });

  it("leaves ties out and says how many", async () => {
    const ties = preferences.slice(0, 3).map((row) => ({
      prompt: row.prompt,
      response_1: row.chosen,
      response_2: row.rejected,
      preference: 0.5,
    }));
    const data = [
      ...preferences.map(({ prompt, chosen, rejected }) => ({
        prompt,
        response_1: chosen,
        response_2: rejected,
        preference: 1,
      })),
      ...ties,
    ];
    const { warnings, steps } = await trace({ ...basics, data, maxSteps: 1 });
    expect(warnings).toEqual([`3 of ${data.length} pairs are ties and are left out`]);
    expect(steps).toHaveLength(1);
    await expect(dpo({ ...basics, data: ties })).rejects.toThrow(/all are ties/);
  });

  it("refuses what cannot work, each with one sentence", async () => {
    await expect(dpo({ ...basics, beta: 0 })).rejects.toThrow(/beta: a number above 0 is required, got 0/);
    await expect(dpo({ ...basics, labelSmoothing: 0.7 })).rejects.toThrow(/label_smoothing.*got 0.7/);
    await expect(dpo({ ...basics, lossType: "sigmoyd" as "sigmoid" })).rejects.toThrow(
      /loss_type: one of sigmoid/,
    );
    await expect(dpo({ ...basics, refModel: addTokens(model, [{ content: "<new>" }]) })).rejects.toThrow(
      /ref_model: .*another tokenizer/,
    );
    await expect(dpo({ ...basics, earlyStoppingPatience: 2 })).rejects.toThrow(
      /early_stopping_patience: held-out rows are required/,
    );
  });
});
