/**
 * Which responses make which update of PPO: every epoch goes through the batch in an order of its own, cut into
 * minibatches, one optimiser step each; a minibatch is cut into micro-batches, whose gradients add up, so that memory stays
 * small.
 *
 * The order is a function of the seed and the epoch alone.
 */
import { type RaggedRows, raggedShapes } from "../../data/packed-rows.ts";
import { likeLengths, packResponses, type TokenSequence } from "../../data/response-rows.ts";
import {
  type Dim,
  type HostArray,
  hostArray,
  sliceTo,
  type Tensor,
  type Tree,
  unstack,
} from "../../graph/index.ts";
import { permutation } from "../../graph/random.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { TrainError } from "../errors.ts";

export interface PlanOptions {
  readonly numPpoEpochs: number;
  readonly numMiniBatches: number;
  /** Rows of a micro-batch, at most. */
  readonly batchSize: number;
  readonly seed: number;
}

/** One optimiser step: rows of the batch, in micro-batches. */
export type PlannedUpdate = readonly (readonly number[])[];

/** The updates of an iteration, in order. */
export function planUpdates(
  sequences: readonly TokenSequence[],
  { numPpoEpochs, numMiniBatches, batchSize, seed }: PlanOptions,
): PlannedUpdate[] {
  const size = sequences.length / numMiniBatches;
  if (!Number.isInteger(size) || size < 1)
    throw new TrainError(
      `num_mini_batches: a divisor of the ${sequences.length} responses of an iteration is required, got ${numMiniBatches}`,
    );
  // The longest first, and responses to one prompt together, which then share it.
  const rank = new Int32Array(sequences.length);
  for (const [i, row] of likeLengths(sequences).entries()) rank[row] = i;
  const most = Math.min(batchSize, size);
  const micro = Array.from({ length: most }, (_, i) => most - i).find((n) => size % n === 0) as number;
  return Array.from({ length: numPpoEpochs }, (_, epoch) => {
    const order = permutation(sequences.length, seed, epoch);
    return Array.from({ length: numMiniBatches }, (_, k) => {
      const rows = [...order.subarray(k * size, (k + 1) * size)];
      rows.sort((a, b) => (rank[a] as number) - (rank[b] as number));
      return Array.from({ length: size / micro }, (_, u) => rows.slice(u * micro, (u + 1) * micro));
    });
  }).flat();
}

const sizeNames = ["N", "R", "T", "M", "Q"] as const;

/**
 * K updates of U micro-batches, each the ragged rows of its responses with its own `sizes` of N, R, T, M and Q, within the
 * largest of all; `at` [M] says where its response tokens stand in the flat lists of the whole batch.
 */
export const updateSpecs = {
  ...(Object.fromEntries(
    Object.entries(raggedShapes).map(([name, shape]) => [
      name,
      { dtype: "int64", shape: ["K", "U", ...shape] as Dim[] },
    ]),
  ) as Record<keyof RaggedBatch, { dtype: "int64"; shape: Dim[] }>),
  at: { dtype: "int64", shape: ["K", "U", "M"] as Dim[] },
  sizes: { dtype: "int64", shape: ["K", "U", sizeNames.length] as Dim[] },
} as const;

/** The micro-batch's own ragged rows and its `at`, cut from the arrays of `updateSpecs`, without K and U. */
export function microBatch(micro: Readonly<Record<string, Tensor>>): { ragged: RaggedBatch; at: Tensor } {
  const sizes = unstack(micro.sizes as Tensor);
  const cut = (x: Tensor, shape: readonly string[]) =>
    shape.reduce(
      (y, size, axis) =>
        sliceTo(y, axis, sizes[sizeNames.indexOf(size as "N")] as Tensor, size.toLowerCase()),
      x,
    );
  const ragged = Object.entries(raggedShapes).map(([name, shape]) => [
    name,
    cut(micro[name] as Tensor, shape),
  ]);
  return { ragged: Object.fromEntries(ragged) as RaggedBatch, at: cut(micro.at as Tensor, ["M"]) };
}

/**
 * The updates as the arrays of `updateSpecs`; `num_items` [K] counts the response tokens of an update, by which its losses
 * are divided.
 */
export function updateInputs(
  sequences: readonly TokenSequence[],
  updates: readonly PlannedUpdate[],
): Tree<HostArray> {
  const starts: number[] = [];
  let total = 0;
  for (const { ids } of sequences) {
    starts.push(total);
    total += ids.length;
  }
  const micros = updates.flat().map((rows) => {
    const { sizes, lists } = packResponses(rows.map((row) => sequences[row] as TokenSequence));
    const at = rows.flatMap((row) =>
      Array.from({ length: sequences[row]?.ids.length ?? 0 }, (_, t) => (starts[row] as number) + t),
    );
    return { sizes, lists: { ...lists, at } as Record<string, ArrayLike<number>> };
  });
  const [k, u] = [updates.length, (updates[0] as PlannedUpdate).length];
  const largest = Object.fromEntries(
    sizeNames.map((size) => [size, Math.max(...micros.map(({ sizes }) => sizes[size]))]),
  ) as RaggedRows["sizes"];
  /** Lists [rows, columns] or [columns] of the micro-batches, each in the corner of an array of the largest sizes. */
  const stacked = (name: string, shape: readonly (keyof RaggedRows["sizes"])[]) => {
    const dims = shape.map((size) => largest[size]);
    const each = dims.reduce((a, b) => a * b, 1);
    const width = dims.at(-1) as number;
    const data = new BigInt64Array(micros.length * each);
    for (const [i, { sizes, lists }] of micros.entries()) {
      const own = sizes[shape.at(-1) as keyof RaggedRows["sizes"]];
      const list = lists[name] as ArrayLike<number>;
      for (let j = 0; j < list.length; j++)
        data[i * each + Math.floor(j / own) * width + (j % own)] = BigInt(list[j] as number);
    }
    return hostArray("int64", [k, u, ...dims], data);
  };
  return {
    micro: {
      ...Object.fromEntries(
        Object.entries(raggedShapes).map(([name, shape]) => [name, stacked(name, shape)]),
      ),
      at: stacked("at", ["M"]),
      sizes: hostArray(
        "int64",
        [k, u, sizeNames.length],
        micros.flatMap(({ sizes }) => sizeNames.map((size) => sizes[size])),
      ),
    },
    num_items: hostArray(
      "float32",
      [k],
      updates.map((update) =>
        update.flat().reduce((n, row) => n + (sequences[row] as TokenSequence).ids.length, 0),
      ),
    ),
  };
}
