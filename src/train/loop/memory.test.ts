import { expect, it } from "vitest";
import { configOf } from "../../models/config/config.ts";
import { parameterShapes } from "../../models/model.ts";
import { checkMemory, estimateMemory } from "./memory.ts";

/** Peak resident memory of three steps less that of the process before, in MB, measured on Linux with 2 threads. */
const measured = [
  { family: "gpt2", layers: 6, width: 256, vocab: 2048, length: 128, batchSize: 16, peak: 545 },
  { family: "gpt2", layers: 2, width: 128, vocab: 2048, length: 512, batchSize: 16, peak: 640 },
  { family: "llama", layers: 2, width: 128, vocab: 2048, length: 512, batchSize: 16, peak: 693 },
  { family: "llama", layers: 6, width: 256, vocab: 2048, length: 256, batchSize: 16, peak: 1215 },
  { family: "gpt2", layers: 12, width: 768, vocab: 50257, length: 256, batchSize: 2, peak: 4499 },
  { family: "gpt2", layers: 4, width: 512, vocab: 32000, length: 64, batchSize: 16, peak: 1509 },
] as const;

const stepOf = ({ family, layers, width, vocab, length, batchSize }: (typeof measured)[number]) => {
  const config = configOf(family, {
    vocabSize: vocab,
    hiddenSize: width,
    numLayers: layers,
    numHeads: Math.max(2, width / 64),
    maxPositions: length,
    tieEmbeddings: true,
  });
  const parameters = Object.values(parameterShapes(config)).reduce(
    (n, s) => n + s.reduce((a, b) => a * b, 1),
    0,
  );
  return { config, parameters, optimizerCopies: 2, batchSize, length };
};

it("the estimate meets measured peaks within 20 %", () => {
  for (const row of measured) {
    const ratio = estimateMemory(stepOf(row)) / (row.peak * 1e6);
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.2);
  }
});

it("knows what gradient checkpointing and logits in chunks save", () => {
  // The process of step-memory.fixture.ts with rows of 768 tokens: 795 MiB, and 191 with checkpointing.
  const sizes = { vocabSize: 64, hiddenSize: 64, numLayers: 12, numHeads: 4, maxPositions: 768 };
  const deep = {
    config: configOf("llama", sizes),
    parameters: 8e5,
    optimizerCopies: 2,
    batchSize: 4,
    length: 768,
  };
  const ratio = (step: Parameters<typeof estimateMemory>[0], peak: number) =>
    estimateMemory(step) / (peak * 2 ** 20);
  expect(Math.abs(Math.log(ratio(deep, 795)))).toBeLessThan(0.2);
  expect(Math.abs(Math.log(ratio({ ...deep, gradientCheckpointing: true }, 191)))).toBeLessThan(0.2);
  const wide = stepOf(measured[5]);
  expect(estimateMemory(wide) - estimateMemory({ ...wide, logitsChunkSize: 24 })).toBe(
    4 * 3 * 32_000 * (64 * 16 - 24),
  );
});

it("a step that does not fit is refused with what it needs and what to do", () => {
  const step = stepOf(measured[4]);
  expect(() => checkMemory(step, true, 2e9)).toThrow(
    /about 4\.\d GB .*2\.0 GB are free; lower the batch size/,
  );
  expect(() => checkMemory(step, true, 20e9)).not.toThrow();
  expect(() => checkMemory(step, false, 2e9)).not.toThrow();
});

it("whoever only wants to know is told the bytes, and nothing is refused", () => {
  const step = stepOf(measured[4]);
  const told: number[] = [];
  checkMemory(step, (bytes) => told.push(bytes), 1);
  expect(told).toEqual([estimateMemory(step)]);
});
