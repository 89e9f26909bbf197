/**
 * How much memory a training step takes, told before it starts.
 *
 *     bytes = 4 ( (5 + s) P + 2 F + 3 V min(B T, n) + B T (L (14 C + g I + H T) + 3 H T) )
 *
 * P parameters that train, F that do not, s copies that the optimiser keeps (2 for Adam), B rows of T tokens, vocabulary V, L layers of width C
 * with H heads and a feed-forward width I, of which g copies live at once: 3, or 5 where it is gated; n rows of logits at
 * a time. With gradient checkpointing a layer leaves its input, C, and one layer at a time all of it. The factors were
 * fitted to the peaks of steps of 0.7 to 124 million parameters (GPT-2 and Llama), which they meet within 15 %.
 */
import { freemem } from "node:os";
import { flatten, sizeOf, type TensorSpec } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { families } from "../../models/families/index.ts";
import type { Model, Parameters } from "../../models/load.ts";
import { logitsChunkOf } from "../../models/tracing.ts";
import type { Optimizer } from "../../optim/index.ts";
import { TrainError } from "../errors.ts";
import { specsOf, type Trainable } from "./trainable.ts";

export interface StepSize {
  readonly config: ModelConfig;
  readonly parameters: number;
  /** Parameters that do not train, such as the base of an adapter. */
  readonly frozen?: number;
  /** Numbers that the optimiser keeps for each parameter. */
  readonly optimizerCopies: number;
  /** Rows of a micro-batch. */
  readonly batchSize: number;
  /** Tokens of its longest row. */
  readonly length: number;
  readonly gradientCheckpointing?: boolean | undefined;
  readonly logitsChunkSize?: number | "auto" | undefined;
}

/** Bytes of a step at its peak, without the process itself. */
export function estimateMemory(step: StepSize): number {
  const { config, parameters, frozen = 0, optimizerCopies, batchSize, length } = step;
  const { vocabSize, numLayers, hiddenSize, intermediateSize, numHeads } = config;
  const isGated = Object.keys(families[config.family].parameters(config)).some((name) =>
    name.includes("gate_proj"),
  );
  const tokens = batchSize * length;
  const scores = numHeads * length;
  const layer = 14 * hiddenSize + (isGated ? 5 : 3) * intermediateSize + scores;
  const layers = step.gradientCheckpointing ? numLayers * hiddenSize + layer : numLayers * layer;
  const chunk = logitsChunkOf(step.logitsChunkSize, vocabSize, tokens) ?? tokens;
  const logits = 3 * vocabSize * Math.min(tokens, chunk);
  const weights = (5 + optimizerCopies) * parameters + 2 * frozen;
  return 4 * (weights + logits + tokens * (layers + 3 * scores));
}

/** Bytes that this process may still take, which in a container are those of its limit. */
export const availableMemory = (): number =>
  (process as { availableMemory?: () => number }).availableMemory?.() ?? freemem();

/** Whether a step that does not fit is refused; a function is told its bytes instead, and decides. */
export type MemoryCheck = boolean | ((bytes: number) => void);

/**
 * Throws when a step does not fit.
 *
 * @throws TrainError with what it needs, what is free, and what to do
 */
export function checkMemory(step: StepSize, check: MemoryCheck, available = availableMemory()): void {
  if (!check) return;
  const needed = estimateMemory(step);
  if (typeof check === "function") {
    check(needed);
    return;
  }
  if (needed <= available) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new TrainError(
    `a step takes about ${gigabytes(needed)} of memory (${(step.parameters / 1e6).toFixed(1)}M parameters, ` +
      `${step.batchSize} rows of ${step.length} tokens), ${gigabytes(available)} are free; lower the batch size ` +
      "(and raise gradient accumulation) or the maximal length, turn on gradient checkpointing, set logits_chunk_size: auto, or go on at your own risk with --no-memory-check",
  );
}

/** How many numbers there are in all arrays. */
export const countOf = (arrays: Parameters): number =>
  Object.values(arrays).reduce((n, { data }) => n + data.length, 0);

/** What a step takes whose largest micro-batch has so many token rows of such a length. */
export function stepSize(
  { config, parameters }: Model,
  trainable: Trainable,
  optimizer: Optimizer,
  {
    rows,
    length,
    gradientCheckpointing,
    logitsChunkSize,
  }: Pick<StepSize, "length" | "gradientCheckpointing" | "logitsChunkSize"> & { readonly rows: number },
): StepSize {
  const count = countOf(trainable.parameters);
  const kept = Object.values(flatten<TensorSpec>(optimizer.init(specsOf(trainable.parameters)))).reduce(
    (n, { shape }) => n + sizeOf(shape as number[]),
    0,
  );
  return {
    config,
    parameters: count,
    frozen: trainable.frozen ? countOf(parameters) : 0,
    optimizerCopies: kept / count,
    batchSize: rows,
    length,
    gradientCheckpointing,
    logitsChunkSize,
  };
}
