import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { loadModel, withParameters } from "../models/load.ts";
import { sft } from "./sft.ts";
import type { SftOptions } from "./sft-options.ts";
import { rows, tinyModel } from "./tiny.fixture.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-sft-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const model = tinyModel();
const basics = { model, data: rows, learningRate: 5e-3, batchSize: 4, threads: 1 } satisfies SftOptions;

const difference = (a: Readonly<Record<string, HostArray>>, b: Readonly<Record<string, HostArray>>): number =>
  Math.max(
    ...Object.entries(a).map(([name, { data }]) =>
      (data as Float32Array).reduce(
        (worst, x, i) => Math.max(worst, Math.abs(x - Number(b[name]?.data[i]))),
        0,
      ),
    ),
  );

/** The metrics of every step. */
async function trace(options: SftOptions) {
  const steps: Record<string, number>[] = [];
  const result = await sft(options, { onStep: ({ metrics }) => void steps.push({ ...metrics }) });
  return { steps, result };
}

describe("sft", () => {
  it("lowers the loss of a tiny model from that of chance to that of a text it knows", async () => {
    const { steps, result } = await trace({
      ...basics,
      numEpochs: 20,
      learningRate: 1e-2,
      evalData: rows.slice(0, 4),
    });
    expect(steps[0]?.loss).toBeCloseTo(Math.log(model.config.vocabSize), 0);
    expect(result.metrics.eval_loss).toBeLessThan(1);
    expect(result.metrics.mean_token_accuracy).toBeGreaterThan(0.7);
    expect(Object.keys(steps[0] ?? {}).sort()).toEqual([
      "epoch",
      "grad_norm",
      "learning_rate",
      "loss",
      "mean_token_accuracy",
      "num_tokens",
    ]);
    expect(result.best?.value).toBeLessThan(1);
  });

  it("the step does not depend on the size of the micro-batches", async () => {
    const sizes: [number, number][] = [
      [8, 1],
      [4, 2],
      [2, 4],
      [1, 8],
    ];
    const runs = [];
    for (const [batchSize, gradientAccumulation] of sizes)
      runs.push(
        await trace({
          ...basics,
          batchSize,
          gradientAccumulation,
          maxSteps: 4,
          optimizer: "sgd",
          learningRate: 0.1,
        }),
      );
    const [whole, ...cut] = runs as [(typeof runs)[0], ...typeof runs];
    for (const { steps, result } of cut) {
      for (const [i, step] of steps.entries())
        for (const name of ["loss", "grad_norm", "mean_token_accuracy"])
          expect(step[name]).toBeCloseTo(whole.steps[i]?.[name] as number, 5);
      expect(difference(result.model.parameters, whole.result.model.parameters)).toBeLessThan(1e-5);
    }
  });

  it("packed rows have the loss that they have apart", async () => {
    const options = { ...basics, optimizer: "sgd", learningRate: 0, batchSize: 64, maxSteps: 1 } as const;
    const apart = await trace(options);
    const packed = await trace({ ...options, packing: true });
    expect(packed.steps[0]?.num_tokens).toBe(apart.steps[0]?.num_tokens);
    for (const name of ["loss", "grad_norm", "mean_token_accuracy"])
      expect(packed.steps[0]?.[name]).toBeCloseTo(apart.steps[0]?.[name] as number, 4);
  });

  it("a resumed run ends in the same bits, and its metrics file has every step once", async () => {
    const options = { ...basics, maxSteps: 10, evalData: rows.slice(0, 4), evalSteps: 3, saveSteps: 4 };
    const whole = join(folder, "whole");
    const halves = join(folder, "halves");
    const { result } = await trace({ ...options, outputDir: whole });
    const stop = new AbortController();
    const first = await sft(
      { ...options, outputDir: halves },
      { signal: stop.signal, onStep: ({ step }) => void (step === 6 && stop.abort()) },
    );
    expect(first.reason).toBe("stopped");
    expect(await readdir(join(halves, "checkpoints"))).toEqual(["4", "6"]);
    const second = await sft({ ...options, outputDir: halves, resume: true });
    expect(difference(second.model.parameters, result.model.parameters)).toBe(0);
    expect(second.best).toEqual(result.best);
    const lines = async (dir: string) => await readFile(join(dir, "metrics.jsonl"), "utf8");
    expect(await lines(halves)).toBe(await lines(whole));
    const loaded = await loadModel(halves);
    expect(difference(loaded.parameters, second.model.parameters)).toBe(0);
  });

  it("a run is not resumed with other data, and not written over", async () => {
    const options = { ...basics, maxSteps: 1, outputDir: join(folder, "guarded") };
    await sft(options);
    await expect(sft(options)).rejects.toThrow(/not empty.*--resume.*--overwrite/);
    await expect(sft({ ...options, resume: true, data: rows.slice(1) })).rejects.toThrow(
      /other settings \(data/,
    );
    await sft({ ...options, overwrite: true });
  });

  it("a loss that is not finite stops with step, rows and the last checkpoint", async () => {
    const outputDir = join(folder, "nan");
    const steps = { ...basics, outputDir, saveSteps: 1, maxSteps: 3, optimizer: "sgd" as const };
    await expect(sft({ ...steps, learningRate: 1e30, maxGradNorm: 0 })).rejects.toThrow(
      /step \d: (loss|grad_norm) is (NaN|Infinity), training stops; the rows of this batch are row:\d+.*last checkpoint is .*\/1/,
    );
    expect(await readdir(join(outputDir, "checkpoints"))).toEqual(["1"]);
    const broken = Object.fromEntries(
      Object.entries(model.parameters).map(([name, { shape }], i) => [
        name,
        i === 0
          ? hostArray("float32", shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(Number.NaN))
          : (model.parameters[name] as HostArray),
      ]),
    );
    await expect(sft({ ...basics, model: withParameters(model, broken) })).rejects.toThrow(
      /step 1: loss is NaN.*no checkpoint/,
    );
  });

  it("stops early when evaluation no longer improves, and ends with the best model", async () => {
    const { result } = await trace({
      ...basics,
      learningRate: 0.3, // far too much: the first steps only do harm
      lrSchedulerType: "constant",
      maxSteps: 40,
      evalData: rows.slice(0, 4),
      evalSteps: 1,
      earlyStoppingPatience: 2,
    });
    expect(result.reason).toBe("no improvement");
    expect(result.steps - (result.best?.step ?? 0)).toBe(2);
    const again = await sft({
      ...basics,
      model: result.model,
      evalData: rows.slice(0, 4),
      maxSteps: 1,
      learningRate: 1e-30,
    });
    expect(again.metrics.eval_loss).toBeCloseTo(result.best?.value as number, 4);
  });

  it("says so when the loss has grown to a multiple of what it began with", async () => {
    const warnings: string[] = [];
    await sft(
      {
        ...basics,
        optimizer: "sgd",
        learningRate: 30,
        warmupSteps: 8,
        maxGradNorm: 1,
        lrSchedulerType: "constant_with_warmup",
        maxSteps: 24,
      },
      { onWarning: (text) => void warnings.push(text) },
    );
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /^step \d+: the loss has grown from [\d.]+ to [\d.]+; lower the learning rate$/,
    );
  });

  it("an engine that is given stays open", async () => {
    const engine = await createEngine({ threads: 1 });
    await sft({ ...basics, engine, maxSteps: 1 });
    await sft({ ...basics, engine, maxSteps: 1 });
    await engine.dispose();
  });

  it("refuses what cannot work, each with one sentence", async () => {
    const tooLong = sft({ ...basics, maxLength: 65 });
    await expect(tooLong).rejects.toThrow(/max_length 65.*context is 64/);
    await expect(tooLong).rejects.toMatchObject({ wrongUsage: true });
    for (const [option, message] of [
      [{ batchSize: 0 }, /batch_size: a whole number of at least 1 is required, got 0/],
      [{ maxSteps: 2.5 }, /max_steps: a whole number.*got 2.5/],
      [{ learningRate: Number.NaN }, /learning_rate: a number of at least 0 is required, got NaN/],
      [{ numEpochs: 0 }, /num_epochs: a number above 0 is required, got 0/],
      [{ earlyStoppingPatience: 2 }, /early_stopping_patience: held-out rows are required/],
    ] as const)
      await expect(sft({ ...basics, ...option })).rejects.toThrow(message);
    await expect(sft({ ...basics, data: [] })).rejects.toThrow(/data is required/);
    await expect(sft({ ...basics, data: "no/such.jsonl" })).rejects.toThrow("no/such.jsonl: no such file");
    await expect(sft({ ...basics, data: [{ text: "fine" }, { texts: "no" }] })).rejects.toThrow(
      /row:2: .*got texts/,
    );
    await expect(sft({ ...basics, evalData: rows, maxSteps: 1, metricForBest: "eval_bleu" })).rejects.toThrow(
      /metric_for_best: eval_bleu is not measured, there are .*eval_loss/,
    );
  });
});
