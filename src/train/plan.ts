/**
 * Which rows make which step, as a function of the step alone: a run that goes on sees the batches that it would have
 * seen. What a row is, and what is made of several, the trainer says.
 */
import { epochBatches } from "../data/batches.ts";
import { type Source, showSource } from "../data/rows.ts";
import type { HostArray, Tree } from "../graph/index.ts";
import type { StepBatch } from "./loop.ts";

/** Rows to train on, and what of them a batch needs. */
export interface Rows<Row> {
  readonly list: Iterable<Row> & { readonly length: number; at(i: number): Row | undefined };
  /** The token rows that one row brings to a batch, without padding: one of a text, two of a pair. */
  sequences(row: Row): readonly Int32Array[];
  /** How much of what the loss is divided by: labels of a text, 1 of a pair. */
  items(row: Row): number;
  sources(row: Row): readonly Source[];
  /** The arrays of a batch; `indices` are the rows' places in the list. */
  collate(rows: readonly Row[], indices: readonly number[]): Tree<HostArray>;
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
  batchAt(step: number): StepBatch;
  /** What identifies the plan when a run is resumed. */
  readonly fingerprint: Readonly<Record<string, string | number | boolean>>;
}

/** The steps of all epochs over the rows. */
export function planOf<Row>(rows: Rows<Row>, options: PlanOptions): Plan {
  const { batchSize, gradientAccumulation, seed, groupByLength = true } = options;
  const { lengths, sequences, data } = survey(rows);
  const size = batchSize * gradientAccumulation;
  const stepsPerEpoch = Math.ceil(lengths.length / size);
  let known: { epoch: number; batches: number[][] } | undefined;
  return {
    stepsPerEpoch,
    largest: {
      rows: sequences * Math.min(batchSize, lengths.length),
      length: lengths.reduce((longest, n) => Math.max(longest, n), 0),
    },
    batchAt(step) {
      const epoch = Math.floor(step / stepsPerEpoch);
      if (known?.epoch !== epoch)
        known = { epoch, batches: epochBatches(lengths, size, seed, epoch, { groupByLength }) };
      const indices = known.batches[step % stepsPerEpoch] as number[];
      const chosen = indices.map((i) => rows.list.at(i) as Row);
      return {
        micro: chunks(indices, batchSize).map((part, i) =>
          rows.collate(chosen.slice(i * batchSize, (i + 1) * batchSize), part),
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

/** One pass over the rows: the longest sequence of each, the most sequences of one, and a hash (FNV-1a) of all. */
export function survey<Row>({ list, sequences, items }: Rows<Row>) {
  const lengths: number[] = [];
  let most = 0;
  let hash = 0x811c9dc5;
  const mix = (word: number) => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  for (const row of list) {
    const parts = sequences(row);
    lengths.push(Math.max(...parts.map((ids) => ids.length)));
    most = Math.max(most, parts.length);
    for (const ids of parts) for (const id of ids) mix(id);
    mix(items(row));
  }
  return { lengths, sequences: most, data: hash >>> 0 };
}

export function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}

/** The sum of `of` over a list. */
export const total = <T>(list: readonly T[], of: (value: T) => number): number =>
  list.reduce((n, value) => n + of(value), 0);
