import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { checkpointReward } from "../../reward/checkpoint-reward.ts";
import { reward } from "../reward.ts";
import type { RewardOptions } from "../reward-options.ts";
import { tinyModel } from "../tiny.fixture.ts";

const model = tinyModel();
const prompts = ["The cat", "A dog", "The hen", "A fox"];
/** Sleeping is better than running, and running better than running back. */
const completions = [" sleeps in the barn.", " runs to the house.", " runs back to the old mill."];
const rankings = prompts.flatMap((prompt, i) =>
  [0, 1, 2].map((turn) => {
    const order = [0, 1, 2].map((at) => (at + turn + i) % 3);
    return {
      prompt: `${prompt}${" it".repeat(turn)}`,
      completions: order.map((at) => completions[at] as string),
      ranks: order.map((at) => at + 1),
    };
  }),
);
const ratings = rankings.flatMap(({ prompt, completions, ranks }) =>
  completions.map((completion, i) => ({ prompt, completion, rating: 5 - 2 * (ranks[i] as number) })),
);
const pairs = prompts.flatMap((prompt) => [
  { prompt, chosen: completions[0] as string, rejected: completions[1] as string },
  { prompt, chosen: completions[1] as string, rejected: completions[2] as string },
]);
const basics = {
  model,
  evalData: pairs,
  evalSteps: 12,
  learningRate: 3e-3,
  batchSize: 4,
  maxSteps: 12,
  lrSchedulerType: "constant",
} as const;

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

async function trace(options: Partial<RewardOptions> & Pick<RewardOptions, "data">) {
  const steps: Record<string, number>[] = [];
  const warnings: string[] = [];
  const result = await reward(
    { engine, ...basics, ...options },
    {
      onStep: ({ metrics }) => void steps.push({ ...metrics }),
      onWarning: (text) => void warnings.push(text),
    },
  );
  return { steps, result, warnings };
}

describe("a reward model from more than pairs", () => {
  it("learns from whole rankings, measured on held-out pairs", async () => {
    const { steps, result } = await trace({ data: rankings, lossType: "plackett_luce" });
    expect(steps[0]?.loss).toBeGreaterThan(1); // log 6 where nothing is known
    expect(steps.at(-1)?.loss).toBeLessThan((steps[0]?.loss as number) - 0.5);
    expect(steps.at(-1)?.eval_accuracy).toBe(result.report?.accuracy);
    expect(result.report?.accuracy).toBeGreaterThan(0.7);
  });

  it("learns from ratings as they are, in deviations from their mean", async () => {
    const { steps, result } = await trace({
      data: ratings,
      lossType: "regression",
      batchSize: 36,
      maxSteps: 16,
    });
    expect(steps.at(-1)?.loss).toBeLessThan(0.6 * (steps[0]?.loss as number));
    expect(result.report?.accuracy).toBeGreaterThan(0.7);
  });

  it("takes the difference of ratings as a margin where that is asked for", async () => {
    const plain = await trace({ data: ratings, maxSteps: 1 });
    const wide = await trace({ data: ratings, maxSteps: 1, ratingMargin: 0.5 });
    expect(wide.steps[0]?.loss).toBeGreaterThan((plain.steps[0]?.loss as number) + 0.3);
    expect(wide.steps[0]?.margin).toBeCloseTo(plain.steps[0]?.margin as number, 5);
  });
});

describe("several objectives", () => {
  /** Both agree on half of the pairs; on the others harmless says the opposite. */
  const rows = pairs.map((pair, i) => ({
    ...pair,
    scores_chosen: { helpful: 2, harmless: i % 2 },
    scores_rejected: { helpful: 1, harmless: 1 - (i % 2) },
  }));
  const objectives = ["helpful", "harmless"];

  it("have heads of their own, whose gradients' cosines are told, and labels that count for theirs alone", async () => {
    const { steps, result } = await trace({ data: rows, evalData: rows, objectives, maxSteps: 16 });
    expect(Object.keys(steps[0] ?? {})).toEqual(
      expect.arrayContaining(["accuracy_helpful", "cosine/helpful_harmless", "cosine/helpful_overall"]),
    );
    for (const step of steps)
      expect(Math.abs(step["cosine/helpful_harmless"] as number)).toBeLessThanOrEqual(1.001);
    const { report, model: trained } = result;
    expect(report?.objectives).toMatchObject({ helpful: { pairs: 8 }, harmless: { pairs: 8 } });
    expect(report?.objectives?.helpful?.accuracy).toBeGreaterThan(0.7);
    expect(trained.config.raw.id2label).toEqual({ 0: "helpful", 1: "harmless", 2: "overall" });

    const warnings: string[] = [];
    const inputs = [
      { prompt: "The cat", completion: " sleeps in the barn.", row: { weights: { harmless: 1 } } },
    ];
    const open = (weights?: Record<string, number> | "row") =>
      checkpointReward(trained, { engine, weights, onWarning: (text) => void warnings.push(text) });
    const [plain, weighted, perRow] = [
      await open(),
      await open({ helpful: 3, harmless: 1 }),
      await open("row"),
    ];
    const { scores, parts = {} } = (await plain.parts?.(inputs)) ?? { scores: [] };
    expect(scores).toEqual(parts.overall);
    const [helpful, harmless] = [parts.helpful?.[0] as number, parts.harmless?.[0] as number];
    expect((await weighted.score(inputs))[0]).toBeCloseTo(0.75 * helpful + 0.25 * harmless, 5);
    expect((await perRow.score(inputs))[0]).toBeCloseTo(harmless, 6);
    expect(warnings).toEqual([expect.stringMatching(/weights sum to 4, not 1; they are divided by that/)]);
    await expect(open({ helpfull: 1 })).rejects.toThrow(
      /there is no objective helpfull; there are helpful, harmless/,
    );
    for (const each of [plain, weighted, perRow]) await each.dispose();
  });

  it("a pair that is about one objective says nothing of the others", async () => {
    const { steps } = await trace({
      data: pairs.map((pair) => ({ ...pair, objective: "helpful" })),
      objectives: ["helpful"],
      maxSteps: 1,
    });
    expect(steps[0]).toMatchObject({ accuracy_overall: 0.5 });
    await expect(
      trace({ data: pairs.map((pair) => ({ ...pair, objective: "helpful" })), objectives, maxSteps: 1 }),
    ).rejects.toThrow(
      /objectives: of harmless none of \d+ pairs says which response is better; scores_chosen/,
    );
  });
});

describe("regularisation", () => {
  it("label smoothing keeps margins small", async () => {
    const plain = await trace({ data: pairs, maxSteps: 16 });
    const smooth = await trace({ data: pairs, maxSteps: 16, labelSmoothing: 0.2 });
    expect(smooth.steps.at(-1)?.margin).toBeLessThan(plain.steps.at(-1)?.margin as number);
    await expect(trace({ data: pairs, maxSteps: 1, labelSmoothing: 0.5 })).rejects.toThrow(
      /label_smoothing: a share/,
    );
  });

  it("dropout of heads draws anew at each step, the same again for the same seed, and never when it measures", async () => {
    const options = {
      data: pairs,
      batchSize: 8,
      maxSteps: 3,
      learningRate: 1e-9,
      headDropout: 0.3,
      evalSteps: 1,
    };
    const [first, second] = [await trace(options), await trace(options)];
    expect(second.steps).toEqual(first.steps);
    const losses = first.steps.map(({ loss }) => loss);
    expect(new Set(losses).size).toBe(3);
    const measured = first.steps.map((step) => step.eval_loss as number);
    for (const loss of measured) expect(loss).toBeCloseTo(measured[0] as number, 5);
  });

  it("the penalty on the gradient makes the score smoother", async () => {
    const plain = await trace({ data: pairs, gradientPenalty: 1e-12 });
    const smooth = await trace({ data: pairs, gradientPenalty: 0.05 });
    const [before, after] = [plain, smooth].map(({ steps }) => steps.at(-1)?.input_gradient as number) as [
      number,
      number,
    ];
    expect(after).toBeLessThan(0.7 * before);
  });

  it("unusual input costs what it is unlike training, and that is saved with the model", async () => {
    const many = Array.from({ length: 24 }, (_, i) => pairs[i % pairs.length] as (typeof pairs)[number]).map(
      (pair, i) => ({ ...pair, prompt: `${pair.prompt}${" it".repeat(i % 5)}` }),
    );
    const { result } = await trace({ data: many, featureStatistics: true, maxSteps: 4 });
    const open = (unusualPenalty: number) => checkpointReward(result.model, { engine, unusualPenalty });
    const [free, charged] = [await open(0), await open(0.5)];
    const inputs = [
      { prompt: "The cat", completion: " sleeps in the barn." },
      { prompt: "mill mill mill mill", completion: " xqz xqz hen hen hen hen mill mill A A A" },
    ];
    const unusual = (await free.parts?.(inputs))?.parts.unusual as number[];
    expect(unusual[1]).toBeGreaterThan((unusual[0] as number) + 1);
    const [before, after] = [await free.score(inputs), await charged.score(inputs)];
    for (const i of [0, 1])
      expect(after[i]).toBeCloseTo((before[i] as number) - 0.5 * (unusual[i] as number), 4);
    for (const each of [free, charged]) await each.dispose();
    const { result: without } = await trace({ data: pairs, maxSteps: 1 });
    await expect(checkpointReward(without.model, { engine, unusualPenalty: 1 })).rejects.toThrow(
      /feature_statistics/,
    );
  });

  it("options that cannot be meant together are refused", async () => {
    const refused: [Partial<RewardOptions>, RegExp][] = [
      [{ headDropout: 1 }, /head_dropout: a share/],
      [{ heads: 2, objectives: ["helpful"] }, /members or objectives, not both/],
      [{ lossType: "regression", gradientPenalty: 1 }, /pairs are required/],
      [{ lossType: "regression" }, /these columns|columns/],
    ];
    for (const [options, message] of refused)
      await expect(trace({ data: pairs, ...options })).rejects.toThrow(message);
  });
});
