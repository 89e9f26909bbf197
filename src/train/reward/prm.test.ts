import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StepwiseExample } from "../../data/steps.ts";
import { loadSteps } from "../../data/steps.ts";
import { type Engine, hostArray } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { withParameters } from "../../models/load.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { processReward } from "../../reward/process.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { expectAlike, golden, logged, modelOf, scaledBy, source } from "../trl.fixture.ts";
import { prm, stepLoss, stepRows, stepSpec } from "./prm.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

describe.skipIf(!existsSync("test/parity/golden/prm.json"))("beside TRL 1.12", () => {
  it.each(["all", "last"])("has the losses and norms of its PRMTrainer (%s steps)", async (what) => {
    const { rows, head, learning_rate, cases } = golden("prm");
    const separator = [3];
    const examples = (rows as { prompt: number[]; steps: number[][]; labels: boolean[] }[]).map(
      ({ prompt, steps, labels }): StepwiseExample => {
        const ids = [...prompt];
        const ends = steps.map((step) => ids.push(...step, ...separator) - 1);
        const from = what === "last" ? steps.length - 1 : 0;
        return { ids: Int32Array.from(ids), places: ends.slice(from), labels: labels.slice(from), source };
      },
    );
    const scored = withScoreHead(scaledBy(0.5, await modelOf("llama")), { numLabels: 2, head: "zeros" });
    const weight = hostArray("float32", [2, scored.config.hiddenSize], head);
    const model = withParameters(scored, { ...scored.parameters, "score.weight": weight });
    const steps = await logged(
      { model, loss: stepLoss(model.config), batchSpec: stepSpec, rows: stepRows({ examples }) },
      learning_rate,
      examples.length,
    );
    expectAlike(steps, cases[what], ["loss", "grad_norm", "learning_rate", "epoch"]);
  });
});

/** Steps that sleep are right, those that run are wrong. */
const rows = ["The cat", "A dog", "The hen", "A fox"].flatMap((prompt) => [
  { prompt, completions: [" sleeps in the barn.", " runs to the house."], labels: [true, false] },
  { prompt, completions: [" runs to the house.", " sleeps in the barn.", " sleeps in the barn."], labels: [false, true, true] },
]); // biome-ignore format: a table

describe("a process reward model", () => {
  it("learns which steps are right, and scores a response by its weakest, its last or all of them", async () => {
    const losses: number[] = [];
    const { model } = await prm(
      {
        engine,
        model: tinyModel(),
        data: rows,
        learningRate: 3e-3,
        batchSize: 8,
        maxSteps: 24,
        stepSeparator: ".",
      },
      { onStep: ({ metrics }) => void losses.push(metrics.loss as number) },
    );
    expect(losses.at(-1)).toBeLessThan(0.5 * (losses[0] as number));
    const inputs = [{ prompt: "The cat", completion: " sleeps in the barn. runs to the house." }];
    const of = async (aggregate: "min" | "product" | "last" | "mean") => {
      const reward = await processReward(model, { engine, aggregate });
      const [[score], [steps]] = [await reward.score(inputs), await reward.steps(inputs)];
      await reward.dispose();
      return { score: score as number, steps: steps as number[] };
    };
    const { score, steps } = await of("min");
    expect(steps).toHaveLength(2);
    expect(score).toBe(Math.min(...steps));
    expect((await of("product")).score).toBeCloseTo((steps[0] as number) * (steps[1] as number), 6);
    expect((await of("last")).score).toBe(steps[1]);
    expect((await of("mean")).score).toBeCloseTo(((steps[0] as number) + (steps[1] as number)) / 2, 6);
  });

  it("has its labels at the ends of steps; a row whose steps do not fit is a bad one", async () => {
    const { tokenizer } = tinyModel();
    const load = (maxLength: number) =>
      loadSteps(rows.slice(0, 1), tokenizer as never, { maxLength, stepSeparator: "\n" });
    const { examples } = await load(64);
    const { ids, places, labels } = examples.at(0) as StepwiseExample;
    expect(labels).toEqual([true, false]);
    for (const place of places) expect(tokenizer?.decode([ids[place] as number])).toBe("\n");
    await expect(load(3)).rejects.toThrow(/no step ends within max_length 3/);
    await expect(processReward(tinyModel(), { engine })).rejects.toThrow(/train one with attune prm/);
  });
});
