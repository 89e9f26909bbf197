/** Which rows make which step of fine-tuning, and how large a step is. */
import { epochBatches } from "../data/batches.ts";
import { collate } from "../data/collate.ts";
import type { Dataset } from "../data/dataset.ts";
import { type Example, labelCount } from "../data/example.ts";
import { showSource } from "../data/rows.ts";
import { flatten, type HostArray, sizeOf, type TensorSpec, type Tree } from "../graph/index.ts";
import type { Model, Parameters } from "../models/load.ts";
import { tokenSpec } from "../models/model.ts";
import type { Optimizer } from "../optim/index.ts";
import type { StepBatch } from "./loop.ts";
import type { StepSize } from "./memory.ts";
import { specsOf, type Trainable } from "./trainable.ts";

/** {input_ids, labels[, segment_ids, position_ids]}, all [B, T]. */
export const batchSpec = (packed: boolean) => ({
  input_ids: tokenSpec(),
  labels: tokenSpec(),
  ...(packed && { segment_ids: tokenSpec(), position_ids: tokenSpec() }),
});

interface PlanOptions {
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly seed: number;
  readonly maxLength: number;
  readonly groupByLength?: boolean;
}

/** Which rows make which step, as a function of the step alone, and what identifies the plan when a run is resumed. */
export function planOf({ examples, packed }: Dataset, options: PlanOptions) {
  const { batchSize, gradientAccumulation, seed, maxLength, groupByLength = true } = options;
  const size = batchSize * gradientAccumulation;
  const lengths = examples.map(({ ids }) => ids.length);
  const stepsPerEpoch = Math.ceil(examples.length / size);
  let known: { epoch: number; batches: number[][] } | undefined;
  const batchAt = (step: number): StepBatch => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (known?.epoch !== epoch)
      known = { epoch, batches: epochBatches(lengths, size, seed, epoch, { groupByLength }) };
    const rows = (known.batches[step % stepsPerEpoch] as number[]).map((i) => examples[i] as Example);
    return {
      micro: chunks(rows, batchSize).map(
        (part) => ({ ...collate(part, { maxLength, packed }) }) as Tree<HostArray>,
      ),
      items: rows.reduce((n, row) => n + labelCount(row), 0),
      tokens: rows.reduce((n, { ids }) => n + ids.length, 0),
      epoch: (step + 1) / stepsPerEpoch,
      rows: () => rows.flatMap(({ sources }) => sources.map(showSource)),
    };
  };
  const fingerprint = {
    batchSize,
    gradientAccumulation,
    seed,
    maxLength,
    packed,
    groupByLength,
    data: hashOf(examples),
  };
  return { stepsPerEpoch, batchAt, fingerprint };
}

export function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}

/** FNV-1a over all ids and masks. */
function hashOf(examples: readonly Example[]): number {
  let h = 0x811c9dc5;
  for (const { ids, counts } of examples)
    for (let i = 0; i < ids.length; i++)
      h = Math.imul(h ^ (((ids[i] as number) << 1) | (counts[i] as number)), 0x01000193);
  return h >>> 0;
}

/** What a step takes, for the estimate of memory. */
export function stepSize(
  { config, parameters }: Model,
  trainable: Trainable,
  optimizer: Optimizer,
  { examples }: Dataset,
  batchSize: number,
): StepSize {
  const countOf = (arrays: Parameters) => Object.values(arrays).reduce((n, { data }) => n + data.length, 0);
  const specs = specsOf(trainable.parameters);
  const count = countOf(trainable.parameters);
  const kept = Object.values(flatten<TensorSpec>(optimizer.init(specs))).reduce(
    (n, { shape }) => n + sizeOf(shape as number[]),
    0,
  );
  return {
    config,
    parameters: count,
    frozen: trainable.frozen ? countOf(parameters) : 0,
    optimizerCopies: kept / count,
    batchSize: Math.min(batchSize, examples.length),
    length: examples.reduce((longest, { ids }) => Math.max(longest, ids.length), 0),
  };
}
