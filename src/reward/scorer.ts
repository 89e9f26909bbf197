/**
 * Scores of token rows from a reward model: compiled once with the weights frozen in, for batches of any size and
 * length. Rows of like length run together, so that little is padding; those of a decoder that scores the last token run
 * ragged, and its last layer asks for those tokens alone.
 */
import { packRuns, raggedArrays, raggedRows, raggedSpecs } from "../data/packed-rows.ts";
import { compile, type Engine, type HostArray, hostArray, unflatten } from "../graph/index.ts";
import { families } from "../models/families/index.ts";
import type { Model } from "../models/load.ts";
import { parameterSpecs } from "../models/model.ts";
import { type Normalisation, normalisationOf } from "./normalisation.ts";
import { poolingOf } from "./pooling.ts";
import { RewardError } from "./reward.ts";
import { rewardsAt, rewardsOf, rowBatchSpec } from "./reward-model.ts";

/** What of a model a scorer needs. */
export type ScoredModel = Pick<Model, "config" | "parameters" | "name">;

export interface ScorerOptions {
  /** Rows that run together. Default 32. */
  readonly batchSize?: number;
}

export interface Scorer {
  /**
   * A score for each row of ids: normalised with the mean and std of the model's configuration, or raw.
   *
   * @throws RewardError for an empty row, or one that is longer than the model's context
   */
  scores(
    rows: readonly ArrayLike<number>[],
    options?: { readonly raw?: boolean; readonly signal?: AbortSignal },
  ): Promise<number[]>;
  readonly normalisation: Normalisation;
  dispose(): Promise<void>;
}

/**
 * Opens a reward model for scoring.
 *
 * @throws RewardError when the model has no scalar head
 */
export async function createScorer(
  engine: Engine,
  model: ScoredModel,
  { batchSize = 32 }: ScorerOptions = {},
): Promise<Scorer> {
  const { config, parameters, name } = model;
  if (config.numLabels !== 1)
    throw new RewardError(
      `${name}: a reward model with one score is required, ` +
        (config.numLabels === undefined
          ? "this is a language model; train it with attune reward"
          : `this has ${config.numLabels}`),
    );
  const normalisation = normalisationOf(config);
  const ragged = !families[config.family].encoder && poolingOf(config) === "last";
  const batchOf = ragged ? raggedEnds : paddedRows;
  const program = await engine.load(
    compile(
      (params, batch) => ({ scores: (ragged ? rewardsAt : rewardsOf)(config, params, batch as never) }),
      [parameterSpecs(config), ragged ? raggedSpecs : rowBatchSpec()] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  return {
    normalisation,
    async scores(rows, { raw = false, signal } = {}) {
      checkLengths(rows, config.maxPositions, name);
      const { mean, std } = raw ? { mean: 0, std: 1 } : normalisation;
      const order = rows.map((_, i) => i);
      order.sort((a, b) => lengthAt(rows, b) - lengthAt(rows, a) || a - b);
      const out = new Array<number>(rows.length);
      for (let from = 0; from < order.length; from += batchSize) {
        signal?.throwIfAborted();
        const members = order.slice(from, from + batchSize);
        const batch = batchOf(members.map((i) => rows[i] as ArrayLike<number>));
        const { data } = (await engine.run(program, [{}, batch])).scores as HostArray<"float32">;
        for (const [k, i] of members.entries()) out[i] = ((data[k] as number) - mean) / std;
      }
      return out;
    },
    dispose: () => engine.unload(program),
  };
}

const lengthAt = (rows: readonly ArrayLike<number>[], i: number): number => rows[i]?.length ?? 0;

function checkLengths(rows: readonly ArrayLike<number>[], longest: number, name: string): void {
  const bad = rows.findIndex(({ length }) => length === 0 || length > longest);
  if (bad >= 0)
    throw new RewardError(
      `${name}: rows of 1 to ${longest} tokens, its context, are required, row ${bad + 1} has ${lengthAt(rows, bad)}`,
    );
}

/** Rows as a ragged batch, of which the last tokens are read. */
function raggedEnds(rows: readonly ArrayLike<number>[]) {
  const packed = packRuns(rows.map((row) => ({ prompt: [], branches: [row] })));
  const ends = packed.starts.map(({ branches }, i) => (branches[0] as number) + lengthAt(rows, i) - 1);
  return raggedArrays(raggedRows(packed, ends));
}

/** Rows as a batch, padded on the right with zeros, which nothing reads. */
export function paddedRows(rows: readonly ArrayLike<number>[]): Record<"input_ids" | "lengths", HostArray> {
  const length = Math.max(...rows.map((row) => row.length));
  const ids = new BigInt64Array(rows.length * length);
  for (const [r, row] of rows.entries())
    for (let t = 0; t < row.length; t++) ids[r * length + t] = BigInt(row[t] as number);
  return {
    input_ids: hostArray("int64", [rows.length, length], ids),
    lengths: hostArray(
      "int64",
      [rows.length],
      rows.map((row) => row.length),
    ),
  };
}
