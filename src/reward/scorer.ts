/**
 * Scores of token rows from a reward model: compiled once with the weights frozen in, for batches of any size and
 * length. Rows of like length run together, so that little is padding; those of a decoder that scores the last token run
 * ragged, and its last layer asks for those tokens alone.
 */
import { packRuns, raggedArrays, raggedRows, raggedSpecs } from "../data/packed-rows.ts";
import { compile, type Engine, type HostArray, hostArray, unflatten } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { families } from "../models/families/index.ts";
import type { RaggedBatch } from "../models/families/ragged.ts";
import type { Model } from "../models/load.ts";
import { hiddenStates, parameterSpecs, scoresOf } from "../models/model.ts";
import { type Normalisation, normalisationsOf } from "./normalisation.ts";
import { poolingOf } from "./pooling.ts";
import { RewardError } from "./reward.ts";
import { pooledStates, type RowBatch, rowBatchSpec } from "./reward-model.ts";

/** What of a model a scorer needs. */
export type ScoredModel = Pick<Model, "config" | "parameters" | "name">;

export interface ScorerOptions {
  /** Rows that run together. Default 32. */
  readonly batchSize?: number;
}

export interface ScoresOptions {
  /** As trained, before normalisation. */
  readonly raw?: boolean;
  readonly signal?: AbortSignal;
}

export interface Scorer {
  /**
   * A score for each row of ids: normalised with the mean and std of the model's configuration, or raw.
   *
   * @throws RewardError for an empty row, or one that is longer than the model's context
   */
  scores(rows: readonly ArrayLike<number>[], options?: ScoresOptions): Promise<number[]>;
  readonly normalisation: Normalisation;
  dispose(): Promise<void>;
}

/** A scorer of a model with several scores: an ensemble that shares its backbone, or several objectives. */
export interface HeadScorer {
  /** What the scores are called, in their order (`id2label`). */
  readonly names: readonly string[];
  /** Of each head the scores of all rows, each normalised on its own, or raw. */
  scores(rows: readonly ArrayLike<number>[], options?: ScoresOptions): Promise<number[][]>;
  readonly normalisations: readonly Normalisation[];
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
  options: ScorerOptions = {},
): Promise<Scorer> {
  const { config, name } = model;
  if (config.numLabels !== undefined && config.numLabels !== 1)
    throw new RewardError(`${name}: a reward model with one score is required, this has ${config.numLabels}`);
  const { scores, normalisations, dispose } = await createHeadScorer(engine, model, options);
  return {
    normalisation: normalisations[0] as Normalisation,
    scores: async (rows, rest) => (await scores(rows, rest))[0] as number[],
    dispose,
  };
}

/**
 * Opens a reward model with any number of scores.
 *
 * @throws RewardError when the model has none
 */
export async function createHeadScorer(
  engine: Engine,
  model: ScoredModel,
  { batchSize = 32 }: ScorerOptions = {},
): Promise<HeadScorer> {
  const { config, parameters, name } = model;
  const { numLabels: heads } = config;
  if (heads === undefined)
    throw new RewardError(
      `${name}: a reward model with one score is required, this is a language model; train it with attune reward`,
    );
  const normalisations = normalisationsOf(config);
  const ragged = !families[config.family].encoder && poolingOf(config) === "last";
  const batchOf = ragged ? raggedEnds : paddedRows;
  const program = await engine.load(
    compile(
      (params, batch) => {
        const states = ragged
          ? hiddenStates(config, params, batch as unknown as RaggedBatch)
          : pooledStates(config, params, batch as unknown as RowBatch); // [R, C]
        return { scores: scoresOf(config, params, states) }; // [R, K]
      },
      [parameterSpecs(config), ragged ? raggedSpecs : rowBatchSpec()] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  return {
    normalisations,
    names: headNames(config),
    async scores(rows, { raw = false, signal } = {}) {
      checkLengths(rows, config.maxPositions, name);
      const order = rows.map((_, i) => i);
      order.sort((a, b) => lengthAt(rows, b) - lengthAt(rows, a) || a - b);
      const out = normalisations.map(() => new Array<number>(rows.length));
      for (let from = 0; from < order.length; from += batchSize) {
        signal?.throwIfAborted();
        const members = order.slice(from, from + batchSize);
        const batch = batchOf(members.map((i) => rows[i] as ArrayLike<number>));
        const { data } = (await engine.run(program, [{}, batch])).scores as HostArray<"float32">;
        for (const [head, scores] of out.entries()) {
          const { mean, std } = raw ? { mean: 0, std: 1 } : (normalisations[head] as Normalisation);
          for (const [k, i] of members.entries())
            scores[i] = ((data[k * heads + head] as number) - mean) / std;
        }
      }
      return out;
    },
    dispose: () => engine.unload(program),
  };
}

/** What a model's scores are called: `id2label` of config.json. */
export function headNames({ raw, numLabels = 0 }: ModelConfig): string[] {
  const labels = (raw.id2label ?? {}) as Record<string, unknown>;
  return Array.from({ length: numLabels }, (_, i) => String(labels[i] ?? `score ${i + 1}`));
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
