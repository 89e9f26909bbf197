/** What a model says of responses that are there already: log pi(token) of each of their tokens. */

import { lengthOf, type TokenSequence } from "../data/response-rows.ts";
import { type Engine, type HostArray, type Tree, unflatten } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Parameters } from "../models/load.ts";
import { parameterSpecs } from "../models/model.ts";
import { createTokenPass, logProbsFigure } from "./token-pass.ts";

export interface LogProbs {
  /**
   * Nats for each response token, a row for each sequence, of softmax(logits / temperature).
   *
   * @param temperature 1 by default
   */
  run(sequences: readonly TokenSequence[], temperature?: number): Promise<Float64Array[]>;
  dispose(): Promise<void>;
}

/** Opens a model for log-probabilities; its weights stay in the engine until it is disposed of. */
export async function createLogProbs(
  engine: Engine,
  config: ModelConfig,
  parameters: Parameters,
  { batchSize = 16 }: { readonly batchSize?: number } = {},
): Promise<LogProbs> {
  const weights = unflatten(parameters) as Tree<HostArray>;
  const pass = await createTokenPass(
    engine,
    logProbsFigure(config, (tree) => tree),
    { weights: parameterSpecs(config), batchSize },
  );
  const residents = await engine.put(weights);
  return {
    run: (sequences, temperature = 1) => pass.run(residents, sequences, temperature),
    async dispose() {
      await engine.free(residents);
      await pass.dispose();
    },
  };
}

/** At most so many logits in one run: two passes of them and what follows must fit into memory. */
const logitsPerRun = 2 ** 25;

/** Rows of one run, for the longest of the sequences. */
export const rowsPerRun = ({ vocabSize }: ModelConfig, sequences: readonly TokenSequence[]): number =>
  Math.max(1, Math.min(32, Math.floor(logitsPerRun / (vocabSize * Math.max(1, ...sequences.map(lengthOf))))));
