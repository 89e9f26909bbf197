import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel } from "../../models/load.ts";
import { sft } from "../sft.ts";
import { rows, tinyModel } from "../tiny.fixture.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "attune-adapter-"));
  await tinyModel().save(join(scratch, "base"));
});
afterAll(() => rm(scratch, { recursive: true }));

const lora = { r: 4, loraAlpha: 8 };
const settings = { data: rows, evalData: rows, lora, batchSize: 8, learningRate: 0.02, threads: 1 };

describe("sft of an adapter", () => {
  it("lowers the loss, leaves the base alone, and writes an adapter that loads as the model that was trained", async () => {
    const model = await loadModel(join(scratch, "base"));
    const outputDir = join(scratch, "run");
    const losses: number[] = [];
    const result = await sft(
      { ...settings, model, outputDir, maxSteps: 30 },
      { onStep: ({ metrics }) => void losses.push(metrics.loss as number) },
    );
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.2);
    expect(model.parameters).toEqual((await loadModel(join(scratch, "base"))).parameters);
    const files = await readdir(join(outputDir, "model"));
    expect(files).toEqual(expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors"]));
    expect(files).not.toContain("model.safetensors");
    expect((await loadModel(outputDir)).parameters).toEqual(result.model.parameters);
  });

  it("goes on after an interruption to the same weights, with micro-batches too", async () => {
    const run = async (name: string, stopAfter?: number) => {
      const stop = new AbortController();
      const outputDir = join(scratch, name);
      const options = { ...settings, outputDir, batchSize: 4, gradientAccumulation: 2, maxSteps: 6 };
      const model = await loadModel(join(scratch, "base"));
      const hooks = {
        signal: stop.signal,
        onStep: ({ step }: { step: number }) => {
          if (step === stopAfter) stop.abort();
        },
      };
      const first = await sft({ ...options, model }, hooks);
      return stopAfter === undefined ? first : sft({ ...options, model, resume: true });
    };
    const whole = await run("whole");
    const resumed = await run("resumed", 3);
    expect(resumed.model.adapter).toEqual(whole.model.adapter);
  });

  it("refuses to resume with another rank", async () => {
    const model = await loadModel(join(scratch, "base"));
    const outputDir = join(scratch, "whole");
    const options = { ...settings, model, outputDir, batchSize: 4, gradientAccumulation: 2, maxSteps: 6 };
    await expect(sft({ ...options, lora: { r: 2 }, resume: true })).rejects.toThrow(/adapter of this run/);
  });
});
