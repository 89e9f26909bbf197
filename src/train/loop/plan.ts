/**
 * Which rows make which step, as a function of the step alone: a run that goes on sees the batches that it would have
 * seen. What a row is, and what is made of several, the trainer says.
 */
import { epochBatches } from "../../data/batches.ts";
import { type Source, showSource } from "../../data/rows.ts";
import type { HostArray, Tree } from "../../graph/index.ts";
import type { StepBatch } from "./loop.ts";

/** Rows to train on, and what of them a batch needs. */
export interface Rows<Row> {
  readonly list: Iterable<Row> & { readonly length: number; at(i: number): Row | undefined };
  /** All its tokens, in one or several lists. */
  sequences(row: Row): readonly Int32Array[];
  /** Token rows that it brings to a batch, and their length without padding; by default one for each sequence. */
  shape?(row: Row): { readonly rows: number; readonly length: number };
  /** How much of what the loss is divided by: labels of a text, 1 of a pair. */
  items(row: Row): number;
  sources(row: Row): readonly Source[];
  /**
   * The arrays of a batch; `indices` are the rows' places in the list. `step` is that of training, for what is drawn
   * anew at each; it is undefined where rows are only measured.
   */
  collate(
    rows: readonly Row[],
    indices: readonly number[],
    step?: number,
  ): Tree<HostArray> | Promise<Tree<HostArray>>;
}

export interface PlanOptions {
  /** Rows of a micro-batch. */
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly seed: number;
  /** Rows of like length share a batch. Default true. */
  readonly groupByLength?: boolean;
}

export interface Plan {
  readonly stepsPerEpoch: number;
  /** Token rows and their length in the largest micro-batch. */
  readonly largest: { readonly rows: number; readonly length: number };
  batchAt(step: number): Promise<StepBatch>;
  /** What identifies the plan when a run is resumed. */
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
}

/** The steps of all epochs over the rows. */
export function planOf<Row>(rows: Rows<Row>, options: PlanOptions): Plan {
  const { batchSize, gradientAccumulation, seed, groupByLength = true } = options;
  const { lengths, perRow, data } = survey(rows);
  const size = batchSize * gradientAccumulation;
  const stepsPerEpoch = Math.ceil(lengths.length / size);
  let known: { epoch: number; batches: number[][] } | undefined;
  return {
    stepsPerEpoch,
    largest: {
      rows: perRow * Math.min(batchSize, lengths.length),
      length: lengths.reduce((longest, n) => Math.max(longest, n), 0),
    },
    async batchAt(step) {
      const epoch = Math.floor(step / stepsPerEpoch);
      if (known?.epoch !== epoch)
        known = { epoch, batches: epochBatches(lengths, size, seed, epoch, { groupByLength }) };
      const indices = known.batches[step % stepsPerEpoch] as number[];
      const chosen = indices.map((i) => rows.list.at(i) as Row);
      return {
        micro: await Promise.all(
          chunks(indices, batchSize).map((part, i) =>
            rows.collate(chosen.slice(i * batchSize, (i + 1) * batchSize), part, step),
          ),
        ),
        items: total(chosen, rows.items),
        tokens: total(chosen, (row) => total(rows.sequences(row), (ids) => ids.length)),
        epoch: (step + 1) / stepsPerEpoch,
        rows: () => chosen.flatMap((row) => rows.sources(row).map(showSource)),
      };
    },
    fingerprint: { batchSize, gradientAccumulation, seed, groupByLength, data },
  };
}

/** One pass over the rows: the length of each, the most token rows of one, and a hash (FNV-1a) of all. */
export function survey<Row>(rows: Pick<Rows<Row>, "list" | "sequences" | "shape" | "items">) {
  const lengths: number[] = [];
  let perRow = 0;
  let hash = 0x811c9dc5;
  const mix = (word: number) => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  for (const row of rows.list) {
    const parts = rows.sequences(row);
    const shape = rows.shape?.(row) ?? {
      rows: parts.length,
      length: Math.max(...parts.map((ids) => ids.length)),
    };
    lengths.push(shape.length);
    perRow = Math.max(perRow, shape.rows);
    for (const ids of parts) for (const id of ids) mix(id);
    mix(rows.items(row));
  }
  return { lengths, perRow, data: hash >>> 0 };
}

export function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}

/** The sum of `of` over a list. */
export const total = <T>(list: readonly T[], of: (value: T) => number): number =>
  list.reduce((n, value) => n + of(value), 0);
