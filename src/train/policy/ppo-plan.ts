/**
 * Which responses make which update of PPO: every epoch goes through the batch in an order of its own, cut into
 * minibatches, one optimiser step each; a minibatch is cut into micro-batches of rows of like length, whose gradients
 * add up, so that memory and padding stay small.
 *
 * The order is a function of the seed and the epoch alone.
 */
import { type Dim, type HostArray, hostArray, type Tree } from "../../graph/index.ts";
import { permutation } from "../../graph/random.ts";
import { choosingPlaces, lengthOf, type TokenSequence } from "../../models/response-rows.ts";
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
  const lengthAt = (row: number) => lengthOf(sequences[row] as TokenSequence);
  const minibatches = Array.from({ length: numPpoEpochs }, (_, epoch) => {
    const order = permutation(sequences.length, seed, epoch);
    return Array.from({ length: numMiniBatches }, (_, k) => {
      const rows = [...order.subarray(k * size, (k + 1) * size)];
      return rows.sort((a, b) => lengthAt(b) - lengthAt(a) || a - b);
    });
  }).flat();
  const cut = (rows: readonly number[], micro: number) =>
    Array.from({ length: size / micro }, (_, u) => rows.slice(u * micro, (u + 1) * micro));
  /** Rows are sorted, so the first of a micro-batch says how long it is. */
  const cost = (micro: number) =>
    sum(
      minibatches
        .flatMap((rows) => cut(rows, micro))
        .map(([row]) => microBatchCost + micro * lengthAt(row as number)),
    );
  const sizes = Array.from({ length: size }, (_, i) => i + 1).filter((n) => size % n === 0 && n <= batchSize);
  const micro = sizes.reduce((best, n) => (cost(n) <= cost(best) ? n : best));
  return minibatches.map((rows) => cut(rows, micro));
}

/** What a micro-batch costs beside its tokens, in tokens: adding up gradients, starting kernels. */
const microBatchCost = 64;

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** K updates of U micro-batches of M rows, with at most P response tokens each; see `updateInputs`. */
export const updateSpecs = {
  rows: { dtype: "int64", shape: ["K", "U", "M"] as Dim[] },
  length: { dtype: "int64", shape: ["K", "U"] as Dim[] },
  count: { dtype: "int64", shape: ["K", "U"] as Dim[] },
  places: { dtype: "int64", shape: ["K", "U", "P"] as Dim[] },
  at: { dtype: "int64", shape: ["K", "U", "P"] as Dim[] },
} as const;

/**
 * The updates as arrays: `rows` of each micro-batch, the `length` of its longest one, the `count` of its response
 * tokens, their `places` among its hidden states, and `at`, where they stand in the flat lists of the whole batch.
 * `num_items` [K] counts the response tokens of an update, by which its losses are divided.
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
    const members = rows.map((row) => sequences[row] as TokenSequence);
    const length = Math.max(...members.map(lengthOf));
    const at = rows.flatMap((row, i) =>
      Array.from({ length: (members[i] as TokenSequence).ids.length }, (_, t) => (starts[row] as number) + t),
    );
    return { rows, length, places: choosingPlaces(members, length), at };
  });
  const [k, u] = [updates.length, (updates[0] as PlannedUpdate).length];
  const width = Math.max(...micros.map(({ at }) => at.length));
  const flat = (lists: readonly (readonly number[])[], size: number) => {
    const data = new BigInt64Array(lists.length * size);
    for (const [i, list] of lists.entries())
      for (const [j, x] of list.entries()) data[i * size + j] = BigInt(x);
    return hostArray("int64", [k, u, size], data);
  };
  const each = (values: number[]) => hostArray("int64", [k, u], values);
  return {
    micro: {
      rows: flat(
        micros.map(({ rows }) => rows),
        (micros[0] as { rows: readonly number[] }).rows.length,
      ),
      length: each(micros.map(({ length }) => length)),
      count: each(micros.map(({ at }) => at.length)),
      places: flat(
        micros.map(({ places }) => places),
        width,
      ),
      at: flat(
        micros.map(({ at }) => at),
        width,
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
