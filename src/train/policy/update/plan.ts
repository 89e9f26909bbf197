/**
 * Which responses make which update of an iteration: every epoch goes through the batch in an order of its own, cut into
 * minibatches, one optimiser step each; a minibatch is cut into micro-batches, whose gradients add up, so that memory stays
 * small.
 *
 * The order is a function of the seed and the epoch alone.
 */
import { type RaggedRows, raggedShapes } from "../../../data/packed-rows.ts";
import { likeLengths, packResponses, type TokenSequence } from "../../../data/response-rows.ts";
import {
  type Dim,
  type HostArray,
  hostArray,
  sliceTo,
  type Tensor,
  type Tree,
  unstack,
} from "../../../graph/index.ts";
import { permutation } from "../../../graph/random.ts";
import type { RaggedBatch } from "../../../models/families/ragged.ts";
import { TrainError } from "../../errors.ts";

export interface PlanOptions {
  readonly numPpoEpochs: number;
  readonly numMiniBatches: number;
  /** Rows of a micro-batch, at most. */
  readonly batchSize: number;
  readonly seed: number;
  /** Responses that teach nothing: no update computes them. */
  readonly skipped?: readonly boolean[] | undefined;
}

/** One optimiser step: rows of the batch, in micro-batches. */
export type PlannedUpdate = readonly (readonly number[])[];

/** The updates of an iteration, in order; minibatches of which every row is skipped make none. */
export function planUpdates(
  sequences: readonly TokenSequence[],
  { numPpoEpochs, numMiniBatches, batchSize, seed, skipped }: PlanOptions,
): PlannedUpdate[] {
  const size = sequences.length / numMiniBatches;
  if (!Number.isInteger(size) || size < 1)
    throw new TrainError(
      `num_mini_batches: a divisor of the ${sequences.length} responses of an iteration is required, got ${numMiniBatches}`,
    );
  // The longest first, and responses to one prompt together, which then share it.
  const rank = new Int32Array(sequences.length);
  for (const [i, row] of likeLengths(sequences).entries()) rank[row] = i;
  return Array.from({ length: numPpoEpochs }, (_, epoch) => {
    const order = permutation(sequences.length, seed, epoch);
    return Array.from({ length: numMiniBatches }, (_, k) => {
      const rows = [...order.subarray(k * size, (k + 1) * size)].filter((row) => !skipped?.[row]);
      rows.sort((a, b) => (rank[a] as number) - (rank[b] as number));
      return evenly(rows, Math.ceil(rows.length / batchSize));
    });
  })
    .flat()
    .filter((update) => update.length > 0);
}

/** Rows in so many parts, whose sizes differ by one at most. */
const evenly = (rows: readonly number[], parts: number): number[][] =>
  Array.from({ length: parts }, (_, i) =>
    rows.slice(Math.floor((i * rows.length) / parts), Math.floor(((i + 1) * rows.length) / parts)),
  );

const sizeNames = ["N", "R", "T", "M", "Q"] as const;

/**
 * K updates of U micro-batches, each the ragged rows of its responses with its own `sizes` of N, R, T, M and Q, within the
 * largest of all; `at` [M] says where its response tokens stand in the flat lists of the whole batch, `owners` [M] which of
 * its S responses each is of, and `lengths` [S] how many tokens those have.
 */
export const updateSpecs = {
  ...(Object.fromEntries(
    Object.entries(raggedShapes).map(([name, shape]) => [
      name,
      { dtype: "int64", shape: ["K", "U", ...shape] as Dim[] },
    ]),
  ) as Record<keyof RaggedBatch, { dtype: "int64"; shape: Dim[] }>),
  at: { dtype: "int64", shape: ["K", "U", "M"] as Dim[] },
  owners: { dtype: "int64", shape: ["K", "U", "M"] as Dim[] },
  lengths: { dtype: "float32", shape: ["K", "U", "S"] as Dim[] },
  sizes: { dtype: "int64", shape: ["K", "U", sizeNames.length] as Dim[] },
} as const;

/** The micro-batch's own ragged rows and its `at`, cut from the arrays of `updateSpecs`, without K and U. */
export function microBatch(micro: Readonly<Record<string, Tensor>>): {
  ragged: RaggedBatch;
  at: Tensor;
  owners: Tensor;
  lengths: Tensor;
} {
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
  return {
    ragged: Object.fromEntries(ragged) as RaggedBatch,
    at: cut(micro.at as Tensor, ["M"]),
    owners: cut(micro.owners as Tensor, ["M"]),
    lengths: micro.lengths as Tensor,
  };
}

/**
 * The updates as the arrays of `updateSpecs`; `num_tokens` [K] counts the response tokens of an update, by which its figures
 * are divided, and `num_items` what its losses are divided by: those tokens, or what is given.
 */
export function updateInputs(
  sequences: readonly TokenSequence[],
  updates: readonly PlannedUpdate[],
  items?: number,
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
    const owners = rows.flatMap((row, i) => Array(sequences[row]?.ids.length ?? 0).fill(i));
    return { rows, sizes, lists: { ...lists, at, owners } as Record<string, ArrayLike<number>> };
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
  const tokens = updates.map((update) =>
    update.flat().reduce((n, row) => n + (sequences[row] as TokenSequence).ids.length, 0),
  );
  const most = Math.max(...micros.map(({ rows }) => rows.length));
  const lengths = new Float32Array(micros.length * most).fill(1); // of no response: divides nothing
  for (const [i, { rows }] of micros.entries())
    for (const [j, row] of rows.entries()) lengths[i * most + j] = sequences[row]?.ids.length ?? 1;
  return {
    micro: {
      ...Object.fromEntries(
        Object.entries(raggedShapes).map(([name, shape]) => [name, stacked(name, shape)]),
      ),
      at: stacked("at", ["M"]),
      owners: stacked("owners", ["M"]),
      lengths: hostArray("float32", [k, u, most], lengths),
      sizes: hostArray(
        "int64",
        [k, u, sizeNames.length],
        micros.flatMap(({ sizes }) => sizeNames.map((size) => sizes[size])),
      ),
    },
    num_items: hostArray("float32", [k], items === undefined ? tokens : Array(k).fill(items)),
    num_tokens: hostArray("float32", [k], tokens),
  };
}
