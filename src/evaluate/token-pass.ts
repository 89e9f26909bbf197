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
} from "../models/response-rows.ts";
import { exactKl } from "./kl.ts";

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

/** Compiles a pass; rows of like length run together, so that little is padding. */
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
    [weights, mapTree(fixed, specOf), rowSpecs] as const,
    { provider: engine.provider, freeze: { 1: fixed } },
  );
  const executable = await engine.load(program);
  return {
    async run(params, sequences, temperature) {
      const order = sequences.map((_, i) => i);
      order.sort((a, b) => lengthOf(sequences[b] as TokenSequence) - lengthOf(sequences[a] as TokenSequence));
      const out: Record<string, Float64Array[]> = {};
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
