/**
 * Figures for response tokens from one compiled pass without gradients: log-probabilities of a policy or a reference,
 * the values of a critic, the exact KL between two models.
 */
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
import { exactKl } from "./kl.ts";
import {
  choosingPlaces,
  chosenLogits,
  hiddenOf,
  lengthOf,
  perResponse,
  responseTokens,
  rowSpecs,
  type TokenSequence,
  tokenRows,
} from "./response-rows.ts";

/** {input_ids [B, T], places [N], tokens [N], inverse_temperature []}: see response-rows.ts */
export type TokenBatchOf = Record<keyof typeof rowSpecs, Tensor>;

/** One number a response token, [N], from the weights that a pass is given. */
export type TokenFigure = (weights: Tree<Tensor>, batch: TokenBatchOf) => Tensor;

/** log pi(token) in nats, at the temperature of sampling. */
export const logProbsFigure =
  (config: ModelConfig, parametersOf: (weights: Tree<Tensor>) => Tree<Tensor>): TokenFigure =>
  (weights, { input_ids, places, tokens, inverse_temperature }) => {
    const params = parametersOf(weights);
    const hidden = hiddenOf(config, params, input_ids);
    return tokenLogProbs(chosenLogits(config, params, hidden, places, inverse_temperature), tokens);
  };

/** KL(first || second) over the vocabulary, in nats per token. */
export const exactKlFigure =
  (
    config: ModelConfig,
    first: (weights: Tree<Tensor>) => Tree<Tensor>,
    second: (weights: Tree<Tensor>) => Tree<Tensor>,
  ): TokenFigure =>
  (weights, { input_ids, places, inverse_temperature }) => {
    const logits = (params: Tree<Tensor>) =>
      chosenLogits(config, params, hiddenOf(config, params, input_ids), places, inverse_temperature);
    return exactKl(logits(first(weights)), logits(second(weights)));
  };

export interface TokenPass {
  /** A row of figures for each sequence, one figure a response token. */
  run(
    weights: Tree<Value>,
    sequences: readonly TokenSequence[],
    temperature: number,
  ): Promise<Float64Array[]>;
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

/** Compiles a pass; rows of like length run together, so that little is padding. */
export async function createTokenPass(
  engine: Engine,
  figure: TokenFigure,
  { weights, fixed = {}, batchSize }: TokenPassOptions,
): Promise<TokenPass> {
  const program = compile(
    (params, still, batch) => ({
      figures: figure({ ...params, fixed: still }, batch as unknown as TokenBatchOf),
    }),
    [weights, mapTree(fixed, specOf), rowSpecs] as const,
    { provider: engine.provider, freeze: { 1: fixed } },
  );
  const executable = await engine.load(program);
  return {
    async run(params, sequences, temperature) {
      const order = sequences.map((_, i) => i);
      order.sort((a, b) => lengthOf(sequences[b] as TokenSequence) - lengthOf(sequences[a] as TokenSequence));
      const out: Float64Array[] = [];
      for (let from = 0; from < order.length; from += batchSize) {
        const members = order.slice(from, from + batchSize);
        const rows = members.map((i) => sequences[i] as TokenSequence);
        const input_ids = tokenRows(rows);
        const places = choosingPlaces(rows, input_ids.shape[1] as number);
        const result = await engine.run(executable, [
          params,
          {},
          {
            input_ids,
            places: hostArray("int64", [places.length], places),
            tokens: hostArray("int64", [places.length], responseTokens(rows)),
            inverse_temperature: hostArray("float32", [], [1 / temperature]),
          },
        ]);
        const figures = perResponse((result.figures as HostArray<"float32">).data, rows);
        for (const [k, i] of members.entries()) out[i] = figures[k] as Float64Array;
      }
      return out;
    },
    dispose: () => engine.unload(executable),
  };
}
