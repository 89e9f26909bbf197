/**
 * A program of its own that takes a train step of a small, deep Llama and prints its memory in MB, before and at the peak:
 * `node --import scripts/register-ts.js step-memory.fixture.ts '{"rows": 4, "length": 384, "vocabSize": 64, "numLayers": 12, "gradientCheckpointing": true}'`.
 */
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import { hostArray, unflatten } from "../../graph/index.ts";
import { configOf } from "../../models/config/config.ts";
import { initialParameters } from "../../models/model.ts";
import { adamw } from "../../optim/index.ts";
import { labelSpec } from "./label-rows.ts";
import { languageModelLoss } from "./language-model.ts";
import { type TracingOptions, tracedLoss } from "./step.ts";
import { createStepper } from "./stepper.ts";

export interface StepMemory extends TracingOptions {
  readonly rows: number;
  readonly length: number;
  readonly vocabSize: number;
  readonly numLayers: number;
}

const { rows, length, vocabSize, numLayers, ...tracing } = JSON.parse(
  process.argv[2] as string,
) as StepMemory;
const sizes = { vocabSize, hiddenSize: 64, numLayers, numHeads: 4, maxPositions: length };
const config = configOf("llama", sizes);
const engine = await openLocalEngine({ threads: 1 });
const stepper = await createStepper({
  engine,
  loss: tracedLoss(languageModelLoss(config), tracing),
  optimizer: adamw(),
  maxGradNorm: 1,
  parameters: unflatten(initialParameters(config, 1)),
  batch: labelSpec(true),
  accumulate: false,
});
const tokens = (value: (i: number) => number) =>
  hostArray(
    "int64",
    [rows, length],
    Array.from({ length: rows * length }, (_, i) => value(i)),
  );
const batch = {
  input_ids: tokens((i) => i % vocabSize),
  labels: tokens((i) => (i + 1) % vocabSize),
  segment_ids: tokens(() => 0),
  position_ids: tokens((i) => i % length),
};
const before = process.memoryUsage.rss() / 2 ** 20;
const { loss, grad_norm } = await stepper.step([batch], rows * length, 1e-3);
console.log(JSON.stringify({ before, peak: process.resourceUsage().maxRSS / 1024, loss, grad_norm }));
