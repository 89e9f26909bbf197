/**
 * Figures for response tokens from one compiled pass without gradients: log-probabilities of a policy or a reference,
 * the values of a critic, the exact KL between two models.
 */

import { raggedArrays, raggedSpecs } from "../data/packed-rows.ts";
import {
  likeLengths,
  packResponses,
  perResponse,
  responseTokens,
  type TokenSequence,
  temperedLogits,
} from "../data/response-rows.ts";
import {
  compile,
  type Engine,
  type HostArray,
  hostArray,
  mapTree,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
  type Value,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { RaggedBatch } from "../models/families/ragged.ts";
import { hiddenStates, logitFigures } from "../models/model.ts";
import { exactKl } from "./kl.ts";

/** What a pass reads: sequences as ragged rows, their M response tokens, and 1 / the temperature of sampling. */
export interface TokenBatchOf {
  readonly ragged: RaggedBatch;
  /** [M], int64 */
  readonly tokens: Tensor;
  /** [] */
  readonly inverse_temperature: Tensor;
}

const batchSpecs = {
  ragged: raggedSpecs,
  tokens: { dtype: "int64", shape: ["M"] },
  inverse_temperature: { dtype: "float32", shape: [] },
} satisfies Tree<TensorSpec>;

/** One number a response token, [M], from the weights that a pass is given. */
export type TokenFigure = (weights: Tree<Tensor>, batch: TokenBatchOf) => Tensor;

/** log pi(token) in nats, at the temperature of sampling. */
export const logProbsFigure =
  (config: ModelConfig, parametersOf: (weights: Tree<Tensor>) => Tree<Tensor>): TokenFigure =>
  (weights, { ragged, tokens, inverse_temperature }) => {
    const params = parametersOf(weights);
    const rows = { rows: { tokens }, scale: inverse_temperature };
    return logitFigures(config, params, hiddenStates(config, params, ragged), rows, (logits, own) => ({
      logProbs: tokenLogProbs(logits, own.tokens),
    })).logProbs;
  };

/** Logits of the response tokens, [M, V], at the temperature of sampling. */
export const logitsFigure = (
  config: ModelConfig,
  params: Tree<Tensor>,
  { ragged, inverse_temperature }: TokenBatchOf,
): Tensor => temperedLogits(config, params, hiddenStates(config, params, ragged), inverse_temperature);

/** KL(first || second) over the vocabulary, in nats per token. */
export const exactKlFigure =
  (
    config: ModelConfig,
    first: (weights: Tree<Tensor>) => Tree<Tensor>,
    second: (weights: Tree<Tensor>) => Tree<Tensor>,
  ): TokenFigure =>
  (weights, batch) =>
    exactKl(logitsFigure(config, first(weights), batch), logitsFigure(config, second(weights), batch));

export interface TokenPass {
  /** A row of figures for each sequence, one figure a response token. */
  run(
    weights: Tree<Value>,
    sequences: readonly TokenSequence[],
    temperature: number,
  ): Promise<Float64Array[]>;
  dispose(): Promise<void>;
}

/** Several figures of one pass, by name. */
export interface TokenPasses<K extends string> {
  run(
    weights: Tree<Value>,
    sequences: readonly TokenSequence[],
    temperature: number,
  ): Promise<Record<K, Float64Array[]>>;
  dispose(): Promise<void>;
}

export interface TokenPassOptions {
  /** Of the weights that `run` gets. */
  readonly weights: Tree<TensorSpec>;
  /** Weights that never change; the figure finds them beside the others, under `fixed`. */
  readonly fixed?: Tree<HostArray>;
  /** Rows of one run. */
  readonly batchSize: number;
}

const specOf = ({ dtype, shape }: HostArray): TensorSpec => ({ dtype, shape });

/** Compiles a pass; responses of like length, and those to one prompt, run together. */
export async function createTokenPass(
  engine: Engine,
  figure: TokenFigure,
  options: TokenPassOptions,
): Promise<TokenPass> {
  const { run, dispose } = await createTokenPasses(
    engine,
    (weights, batch) => ({ figures: figure(weights, batch) }),
    options,
  );
  return { run: async (...inputs) => (await run(...inputs)).figures, dispose };
}

/** Compiles a pass of several figures, which share what they compute. */
export async function createTokenPasses<K extends string>(
  engine: Engine,
  figures: (weights: Tree<Tensor>, batch: TokenBatchOf) => Record<K, Tensor>,
  { weights, fixed = {}, batchSize }: TokenPassOptions,
): Promise<TokenPasses<K>> {
  const program = compile(
    (params, still, batch) => figures({ ...params, fixed: still }, batch as unknown as TokenBatchOf),
    [weights, mapTree(fixed, specOf), batchSpecs] as const,
    { provider: engine.provider, freeze: { 1: fixed } },
  );
  const executable = await engine.load(program);
  return {
    async run(params, sequences, temperature) {
      const order = likeLengths(sequences);
      const out: Record<string, Float64Array[]> = {};
      for (let from = 0; from < order.length; from += batchSize) {
        const members = order.slice(from, from + batchSize);
        const rows = members.map((i) => sequences[i] as TokenSequence);
        const tokens = responseTokens(rows);
        const result = await engine.run(executable, [
          params,
          {},
          {
            ragged: raggedArrays(packResponses(rows)),
            tokens: hostArray("int64", [tokens.length], tokens),
            inverse_temperature: hostArray("float32", [], [1 / temperature]),
          },
        ]);
        for (const [name, flat] of Object.entries(result as Record<string, HostArray<"float32">>)) {
          out[name] ??= [];
          const found = perResponse(flat.data, rows);
          for (const [k, i] of members.entries()) (out[name] as Float64Array[])[i] = found[k] as Float64Array;
        }
      }
      return out as Record<K, Float64Array[]>;
    },
    dispose: () => engine.unload(executable),
  };
}
