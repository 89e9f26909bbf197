/**
 * Scores of token rows from a reward model: compiled once with the weights frozen in, for batches of any size and
 * length. Rows of like length run together, so that little is padding.
 */
import { frozenWeights } from "../generate/weights.ts";
import { compile, type Engine, type HostArray, mapTree } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Model } from "../models/load.ts";
import { scoresOf } from "../models/model.ts";
import { readsApart, rewardEncoderOf } from "../models/towers.ts";
import { type Normalisation, normalisationsOf } from "./normalisation.ts";
import { readerOf } from "./reader.ts";
import { RewardError } from "./reward.ts";
import { type ResponseRow, rowLength } from "./rows.ts";
import { featureStatisticsOf, squaredDistances, unusualness } from "./unusual.ts";

/** What of a model a scorer needs. */
export type ScoredModel = Pick<Model, "config" | "parameters" | "name">;

export interface ScorerOptions {
  /** Rows that run together. Default 32. */
  readonly batchSize?: number;
  /** The projections are held in 8 bits, a quarter of their size; scores differ a little. Default false. */
  readonly int8?: boolean | undefined;
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
   * @throws RewardError for an empty row, one that is longer than the model's context, and for one that does not say
   * what of it is the prompt where the model reads prompt and response apart
   */
  scores(rows: readonly ResponseRow[], options?: ScoresOptions): Promise<number[]>;
  readonly normalisation: Normalisation;
  dispose(): Promise<void>;
}

/** A scorer of a model with several scores: an ensemble that shares its backbone, or several objectives. */
export interface HeadScorer {
  /** What the scores are called, in their order (`id2label`). */
  readonly names: readonly string[];
  /** Of each head the scores of all rows, each normalised on its own, or raw. */
  scores(rows: readonly ResponseRow[], options?: ScoresOptions): Promise<number[][]>;
  /** The same, and how unusual each row is (unusual.ts), where the model knows what is usual. */
  judged(rows: readonly ResponseRow[], options?: ScoresOptions): Promise<JudgedRows>;
  readonly normalisations: readonly Normalisation[];
  dispose(): Promise<void>;
}

export interface JudgedRows {
  readonly scores: number[][];
  readonly unusual?: number[];
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
  { batchSize = 32, int8 = false }: ScorerOptions = {},
): Promise<HeadScorer> {
  const { config, parameters, name } = model;
  const { numLabels: heads } = config;
  if (heads === undefined)
    throw new RewardError(
      `${name}: a reward model with one score is required, this is a language model; train it with attune reward`,
    );
  const normalisations = normalisationsOf(config);
  const usual = featureStatisticsOf(config);
  const reader = readerOf(config);
  const { arrays, read } = frozenWeights({ config, parameters }, int8);
  const program = await engine.load(
    compile(
      (given, batch) => {
        const params = read(given);
        const states = reader.states(params, batch); // [R, F]
        const scores = scoresOf(config, params, states); // [R, K]
        return { scores, ...(usual && { distances: squaredDistances(params, states) }) };
      },
      [mapTree(arrays, ({ dtype, shape }) => ({ dtype, shape })), reader.spec] as const,
      { provider: engine.provider, freeze: { 0: arrays } },
    ),
  );
  const judged: HeadScorer["judged"] = async (rows, { raw = false, signal } = {}) => {
    checkRows(rows, config, name);
    const order = rows.map((_, i) => i);
    order.sort((a, b) => lengthAt(rows, b) - lengthAt(rows, a) || a - b);
    const out = normalisations.map(() => new Array<number>(rows.length));
    const unusual = new Array<number>(rows.length);
    for (let from = 0; from < order.length; from += batchSize) {
      signal?.throwIfAborted();
      const members = order.slice(from, from + batchSize);
      const batch = reader.batch(members.map((i) => rows[i] as ResponseRow));
      const found = await engine.run(program, [{}, batch]);
      const { data } = found.scores as HostArray<"float32">;
      for (const [head, scores] of out.entries()) {
        const { mean, std } = raw ? { mean: 0, std: 1 } : (normalisations[head] as Normalisation);
        for (const [k, i] of members.entries()) scores[i] = ((data[k * heads + head] as number) - mean) / std;
      }
      if (!usual) continue;
      const distances = (found.distances as HostArray<"float32">).data;
      for (const [k, i] of members.entries()) unusual[i] = unusualness(distances[k] as number, usual);
    }
    return { scores: out, ...(usual && { unusual }) };
  };
  return {
    normalisations,
    names: headNames(config),
    scores: async (rows, options) => (await judged(rows, options)).scores,
    judged,
    dispose: () => engine.unload(program),
  };
}

/** What a model's scores are called: `id2label` of config.json. */
export function headNames({ raw, numLabels = 0 }: ModelConfig): string[] {
  const labels = (raw.id2label ?? {}) as Record<string, unknown>;
  return Array.from({ length: numLabels }, (_, i) => String(labels[i] ?? `score ${i + 1}`));
}

const lengthAt = (rows: readonly ResponseRow[], i: number): number => rowLength(rows[i] as ResponseRow);

function checkRows(rows: readonly ResponseRow[], config: ModelConfig, name: string): void {
  const longest = config.maxPositions;
  const lengths = rows.map(rowLength);
  const bad = lengths.findIndex((length) => length === 0 || length > longest);
  if (bad >= 0)
    throw new RewardError(
      `${name}: rows of 1 to ${longest} tokens, its context, are required, row ${bad + 1} has ${lengths[bad]}`,
    );
  const isSplit = (row: ResponseRow) => "response" in row && row.prompt.length > 0 && row.response.length > 0;
  const whole = readsApart(config) ? rows.findIndex((row) => !isSplit(row)) : -1;
  if (whole >= 0)
    throw new RewardError(
      `${name}: a prompt and a completion are required, for it reads them apart (${rewardEncoderOf(config)}); ` +
        `row ${whole + 1} has one of them alone`,
    );
}
