import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, loadModel, type Parameters } from "../models/load.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { checkpointReward } from "../reward/checkpoint-reward.ts";
import { createScorer } from "../reward/scorer.ts";
import { reward } from "./reward.ts";
import type { RewardOptions } from "./reward-options.ts";
import { sentences, tinyModel } from "./tiny.fixture.ts";

const model = tinyModel();
/** Sleeping is better than running. */
const pairs = Array.from({ length: 48 }, (_, i) => ({
  prompt: ["The cat", "A dog", "The hen"][i % 3],
  chosen: ` sleeps in the ${["barn", "garden", "house", "old mill"][i % 4]}.`,
  rejected: ` runs ${i % 2 ? "back " : ""}to the ${["house", "barn"][i % 2]}.`,
  level_chosen: "high",
  level_rejected: "low",
}));
const basics = {
  model,
  data: pairs,
  learningRate: 3e-3,
  batchSize: 8,
  maxSteps: 24,
  lrSchedulerType: "constant",
} as const satisfies RewardOptions;

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "reward-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true });
});

async function trace(options: RewardOptions) {
  const steps: Record<string, number>[] = [];
  const result = await reward(
    { engine, ...options },
    { onStep: ({ metrics }) => void steps.push({ ...metrics }) },
  );
  return { steps, result };
}

const difference = (a: Parameters, b: Parameters): number =>
  Math.max(
    ...Object.entries(a).flatMap(([name, { data }]) =>
      [...(data as Float32Array)].map((x, i) => Math.abs(x - Number((b[name] as HostArray).data[i]))),
    ),
  );

describe("reward", () => {
  it("learns which response is preferred, from a language model, and reports on held-out pairs", async () => {
    const { steps, result } = await trace({ ...basics, evalData: pairs.slice(0, 12), evalSteps: 8 });
    expect(steps[0]?.loss).toBeGreaterThan(0.2);
    expect(steps.at(-1)?.loss).toBeLessThan(0.1);
    expect(Object.keys(steps.at(-1) ?? {})).toEqual(
      expect.arrayContaining([
        ...["loss", "accuracy", "margin", "min_reward", "mean_reward", "max_reward"],
        ...["eval_loss", "eval_accuracy", "eval_margin", "grad_norm", "learning_rate", "num_tokens", "epoch"],
      ]),
    );
    const { report } = result;
    expect(report).toMatchObject({ accuracy: 1, pairs: 12 });
    expect(report?.score_by_level?.high?.mean).toBeGreaterThan(report?.score_by_level?.low?.mean as number);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it("saves mean and std of scores on given responses; the scorer applies them", async () => {
    const outputDir = join(folder, "normalised");
    const responses = sentences.slice(0, 8).map((text) => {
      const prompt = text.split(" ", 2).join(" ");
      return { prompt, completion: text.slice(prompt.length) };
    });
    await trace({ ...basics, normalizeData: responses, outputDir });
    const loaded = await loadModel(outputDir);
    expect(loaded.config.raw).toMatchObject({ architectures: ["LlamaForSequenceClassification"] });
    const scorer = await createScorer(engine, loaded);
    const tokenizer = loaded.tokenizer as NonNullable<typeof loaded.tokenizer>;
    const rows = sentences.slice(0, 8).map((text) => [...tokenizer.encode(text), tokenizer.eosId as number]);
    const scores = await scorer.scores(rows);
    await scorer.dispose();
    const mean = scores.reduce((sum, x) => sum + x, 0) / scores.length;
    expect(mean).toBeCloseTo(0, 3);
    expect(scores.reduce((sum, x) => sum + (x - mean) ** 2, 0) / scores.length).toBeCloseTo(1, 3);
    const { result } = await trace({ ...basics, maxSteps: 1, normalizeRewards: false });
    expect(result.model.config.raw.std).toBeUndefined();
  });

  it("goes on from a reward model, keeping its head, and from an encoder", async () => {
    const { result } = await trace(basics);
    const again = await trace({ ...basics, model: result.model, maxSteps: 1 });
    expect(again.steps[0]?.loss).toBeLessThan(0.1);
    const anew = await trace({ ...basics, model: result.model, maxSteps: 1, newHead: true });
    expect(anew.steps[0]?.loss).toBeGreaterThan(again.steps[0]?.loss as number);
    const { tokenizer, config } = model;
    const sizes = {
      vocabSize: config.vocabSize,
      hiddenSize: 32,
      numLayers: 1,
      numHeads: 2,
      maxPositions: 64,
    };
    const bert = createModel(configOf("bert", sizes), 0, tokenizer);
    const { steps } = await trace({ ...basics, model: bert, pooling: "mean" });
    expect(steps.at(-1)?.loss).toBeLessThan(0.2);
  });

  it("a resumed run ends in the same bits", async () => {
    const options = { ...basics, maxSteps: 10, evalData: pairs.slice(0, 8), evalSteps: 3, saveSteps: 4 };
    const [whole, halves] = [join(folder, "whole"), join(folder, "halves")];
    const { result } = await trace({ ...options, outputDir: whole });
    const stop = new AbortController();
    const first = await reward(
      { ...options, engine, outputDir: halves },
      { signal: stop.signal, onStep: ({ step }) => void (step === 5 && stop.abort()) },
    );
    expect(first.reason).toBe("stopped");
    const second = await reward({ ...options, engine, outputDir: halves, resume: true });
    expect(difference(second.model.parameters, result.model.parameters)).toBe(0);
    expect(second.model.config.raw).toEqual(result.model.config.raw);
    expect(second.report).toEqual(result.report);
    const metrics = (dir: string) => readFile(join(dir, "metrics.jsonl"), "utf8");
    expect(await metrics(halves)).toBe(await metrics(whole));
  });

  it("trains an adapter, resumes it in the same bits, and ends with a model that stands alone", async () => {
    const base = join(folder, "base");
    await model.save(base);
    const options = {
      ...basics,
      model: await loadModel(base),
      lora: { r: 4 },
      maxSteps: 6,
      saveSteps: 3,
      evalData: pairs.slice(0, 4),
    };
    const { result } = await trace({ ...options, outputDir: join(folder, "lora") });
    const stop = new AbortController();
    const outputDir = join(folder, "lora-halves");
    await reward(
      { ...options, engine, outputDir },
      { signal: stop.signal, onStep: ({ step }) => void (step === 3 && stop.abort()) },
    );
    const second = await reward({ ...options, engine, outputDir, resume: true });
    expect(difference(second.model.parameters, result.model.parameters)).toBe(0);
    const loaded = await loadModel(outputDir);
    expect(loaded.adapter).toBeUndefined();
    expect(difference(loaded.parameters, result.model.parameters)).toBe(0);
    expect(loaded.config.raw.std).toBe(result.model.config.raw.std);
  });

  it("micro-batches, margins, ties and centring count as in one batch", async () => {
    const data = pairs.map((pair, i) => ({ ...pair, ...(i % 3 ? { margin: i / 48 } : {}) }));
    const options = {
      ...basics,
      data,
      optimizer: "sgd",
      maxSteps: 3,
      groupByLength: false,
      centerRewardsCoefficient: 0.01,
    } as const;
    const whole = await trace(options);
    const cut = await trace({ ...options, batchSize: 2, gradientAccumulation: 4 });
    for (const [i, step] of cut.steps.entries())
      for (const name of [
        "loss",
        "grad_norm",
        "accuracy",
        "margin",
        "min_reward",
        "mean_reward",
        "max_reward",
      ])
        expect(step[name], name).toBeCloseTo(whole.steps[i]?.[name] as number, 4);
  });

  it("ties are dropped, and that is said, or counted", async () => {
    const data = pairs.map(({ prompt, chosen, rejected }, i) => ({
      prompt,
      response_1: chosen,
      response_2: rejected,
      preference: i % 4 ? 1 : 0.5,
    }));
    const warnings: string[] = [];
    await reward({ ...basics, engine, data, maxSteps: 1 }, { onWarning: (text) => warnings.push(text) });
    expect(warnings).toEqual([expect.stringMatching(/12 of 48 pairs are ties and are left out/)]);
    const counted = await trace({ ...basics, data, ties: "davidson", maxSteps: 6, evalData: data });
    expect(counted.result.report?.pairs).toBe(36);
    await expect(reward({ ...basics, data: data.filter((_, i) => i % 4 === 0) })).rejects.toThrow(
      /all pairs are ties.*davidson/,
    );
  });

  it("stops early when evaluation no longer improves", async () => {
    const { result } = await trace({
      ...basics,
      maxSteps: 60,
      evalData: pairs
        .slice(0, 6)
        .map(({ chosen, rejected, ...rest }) => ({ ...rest, chosen: rejected, rejected: chosen })),
      evalSteps: 1,
      earlyStoppingPatience: 2,
    });
    expect(result.reason).toBe("no improvement");
    expect(result.steps - (result.best?.step ?? 0)).toBe(2);
  });

  it("refuses what cannot work, each with one sentence", async () => {
    await expect(reward({ ...basics, pooling: "cls" })).rejects.toThrow(/cls needs an encoder/);
    await expect(reward({ ...basics, maxLength: 65 })).rejects.toThrow(/max_length 65/);
    await expect(reward({ ...basics, data: [{ prompt: "a", chosen: "b" }] })).rejects.toThrow(
      /rejected is missing/,
    );
    await expect(createScorer(engine, model)).rejects.toThrow(/one score is required.*language model/);
  });
});

describe("a checkpoint as a reward", () => {
  it("scores sampled ids as they are, text with its own tokenizer alike, and ranks responses", async () => {
    const { result } = await trace(basics);
    const tokenizer = model.tokenizer as NonNullable<typeof model.tokenizer>;
    const opened = await checkpointReward(result.model, { engine, policyTokenizer: tokenizer });
    const [prompt, completion] = ["The cat", " sleeps in the barn."];
    const promptIds = tokenizer.encode(prompt);
    const joint = tokenizer.encode(prompt + completion);
    const completionIds = [...joint.slice(promptIds.length), tokenizer.eosId as number];
    expect(joint.slice(0, promptIds.length)).toEqual(promptIds);
    const [byIds, byText, cutOff, other] = (await opened.score([
      { prompt: "not read", completion: "not read", promptIds, completionIds },
      { prompt, completion },
      { prompt, completion, terminated: false },
      { prompt, completion: " runs to the house." },
    ])) as number[];
    expect(byText).toBeCloseTo(byIds as number, 5);
    expect(cutOff).not.toBeCloseTo(byIds as number, 5);
    expect(byIds).toBeGreaterThan(other as number);
    const ranked = await opened.rank(prompt, [" runs to the house.", completion, " runs back to the barn."]);
    expect(ranked[0]).toMatchObject({ completion, index: 1 });
    expect(ranked.map(({ score }) => score)).toEqual(ranked.map(({ score }) => score).sort((a, b) => b - a));
    await opened.dispose();
  });

  it("reads the text again when the policy has another tokenizer", async () => {
    const { result } = await trace({ ...basics, maxSteps: 2 });
    const other = trainBpe(sentences.slice(3), { vocabSize: 280 });
    const policyTokenizer = createTokenizer({ tokenizer: other.tokenizer, config: other.config });
    const opened = await checkpointReward(result.model, { engine, policyTokenizer });
    const own = await checkpointReward(result.model, { engine });
    const input = { prompt: "The cat", completion: " sleeps in the barn." };
    const ids = {
      promptIds: policyTokenizer.encode(input.prompt),
      completionIds: policyTokenizer.encode(input.completion),
    };
    expect(await opened.score([{ ...input, ...ids }])).toEqual(await own.score([input]));
    await opened.dispose();
    await own.dispose();
  });
});
