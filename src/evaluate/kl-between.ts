/**
 * How far two models are apart, in nats: KL(A || B) and KL(B || A), along given responses or along samples of their
 * own.
 *
 *     exact    sum over the vocabulary of p_A (log p_A - log p_B), at each response token
 *     k1, k3   estimates from the tokens of the responses alone (see kl.ts); of KL(A || B) when A has drawn them
 *
 * Summed over the tokens of a response and averaged over responses drawn from A, each is an unbiased estimate of the
 * KL between the distributions of whole responses. Per token is the sum over all tokens by their number. Along
 * responses that neither model drew, the exact figures say how far apart the next tokens are there.
 */

import type { TokenSequence } from "../data/response-rows.ts";
import { createGenerator } from "../generate/index.ts";
import {
  type Engine,
  type HostArray,
  type Tensor,
  type Tree,
  tokenLogProbs,
  unflatten,
} from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import { parameterSpecs } from "../models/model.ts";
import { sameTokenizer } from "../models/tokenizer/same-tokenizer.ts";
import { type BootstrapOptions, bootstrapRows, type Interval } from "./bootstrap.ts";
import { exactKl, klEstimators } from "./kl.ts";
import { rowsPerRun } from "./log-probs.ts";
import { EvaluateError } from "./perplexity.ts";
import { createTokenPasses, logitsFigure } from "./token-pass.ts";

/** One divergence, in nats. */
export interface KlFigure {
  readonly perToken: Interval;
  readonly perResponse: Interval;
}

export interface KlBetween {
  readonly unit: "nats";
  readonly responses: number;
  readonly tokens: number;
  /** KL(A || B); k1 and k3 are estimates of it when A has drawn the responses. */
  readonly forward: { readonly exact: KlFigure; readonly k1: KlFigure; readonly k3: KlFigure };
  /** KL(B || A). */
  readonly reverse: { readonly exact: KlFigure };
}

export interface KlOptions extends BootstrapOptions {
  /** Of both models. Default 1. */
  readonly temperature?: number;
  /** Rows of one run. Default: what the vocabulary leaves. */
  readonly batchSize?: number;
}

type Scored = Pick<Model, "config" | "parameters" | "name" | "tokenizer">;

/**
 * The divergences between A and B along responses.
 *
 * @throws EvaluateError when the models do not read the same ids, or there is no response token
 */
export async function klBetween(
  engine: Engine,
  a: Scored,
  b: Scored,
  sequences: readonly TokenSequence[],
  { temperature = 1, batchSize = rowsPerRun(a.config, sequences), ...interval }: KlOptions = {},
): Promise<KlBetween> {
  checkSameIds(a, b);
  checkLengths(a, b, sequences);
  const passes = await createTokenPasses(
    engine,
    (weights, batch) => {
      const logitsA = logitsFigure(a.config, weights.a as Tree<Tensor>, batch);
      const logitsB = logitsFigure(b.config, weights.b as Tree<Tensor>, batch);
      const { tokens } = batch;
      return {
        logProbsA: tokenLogProbs(logitsA, tokens),
        logProbsB: tokenLogProbs(logitsB, tokens),
        forward: exactKl(logitsA, logitsB),
        reverse: exactKl(logitsB, logitsA),
      };
    },
    { weights: { a: parameterSpecs(a.config), b: parameterSpecs(b.config) }, batchSize },
  );
  const weights = await engine.put({
    a: unflatten(a.parameters),
    b: unflatten(b.parameters),
  } as Tree<HostArray>);
  try {
    const { logProbsA, logProbsB, forward, reverse } = await passes.run(weights, sequences, temperature);
    const estimated = (of: (logRatio: number) => number) =>
      logProbsA.map((row, i) => row.map((logProb, t) => of(logProb - (logProbsB[i]?.[t] as number))));
    return {
      unit: "nats",
      responses: sequences.length,
      tokens: forward.reduce((n, row) => n + row.length, 0),
      forward: {
        exact: figureOf(forward, interval),
        k1: figureOf(estimated(klEstimators.k1), interval),
        k3: figureOf(estimated(klEstimators.k3), interval),
      },
      reverse: { exact: figureOf(reverse, interval) },
    };
  } finally {
    await engine.free(weights);
    await passes.dispose();
  }
}

const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);

/** Responses are what is drawn again for the intervals; tokens of one response are not independent. */
function figureOf(rows: readonly Float64Array[], options: BootstrapOptions): KlFigure {
  const sums = rows.map((row) => [total(row), row.length]);
  const ratio = ([values, counts]: readonly Float64Array[]) =>
    total(values as Float64Array) / total(counts as Float64Array);
  const average = ([values]: readonly Float64Array[]) =>
    total(values as Float64Array) / (values as Float64Array).length;
  return {
    perToken: bootstrapRows(sums, ratio, options),
    perResponse: bootstrapRows(sums, average, options),
  };
}

export interface SampleOptions {
  readonly seed?: number;
  /** Tokens of a response, at most. */
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

/** One response of a model to each prompt, as a function of the seed. */
export async function sampleResponses(
  engine: Engine,
  { config, parameters }: Pick<Model, "config" | "parameters">,
  prompts: readonly ArrayLike<number>[],
  { seed = 0, temperature = 1, maxNewTokens, signal }: SampleOptions,
): Promise<TokenSequence[]> {
  const generator = createGenerator(engine, config, unflatten(parameters));
  try {
    const completions = await generator.generate(
      prompts.map((ids) => Array.from(ids)),
      { seed, temperature, maxNewTokens, ...(signal && { signal }) },
    );
    return completions.map(({ prompt, ids }) => ({ promptIds: prompts[prompt] as ArrayLike<number>, ids }));
  } finally {
    await generator.dispose();
  }
}

/** @throws EvaluateError when a token id means something else to the other model, or one is no language model */
function checkSameIds(a: Scored, b: Scored): void {
  for (const { config, name } of [a, b])
    if (config.numLabels !== undefined)
      throw new EvaluateError(`kl: ${name} has a score head; two language models are required`);
  const differs = a.tokenizer && b.tokenizer && !sameTokenizer(a.tokenizer, b.tokenizer);
  const [first, second] = [a.config.vocabSize, b.config.vocabSize];
  if (differs || first !== second)
    throw new EvaluateError(
      `kl: one tokenizer and one vocabulary are required, ${b.name} has ` +
        `${first === second ? "another tokenizer" : `${second} tokens`}, ${a.name} ${first === second ? "its own" : first}; ` +
        "their ids mean different texts, so there is no KL between them",
    );
}

function checkLengths(a: Scored, b: Scored, sequences: readonly TokenSequence[]): void {
  const longest = Math.min(a.config.maxPositions, b.config.maxPositions);
  const bad = sequences.findIndex(
    ({ promptIds, ids }) =>
      promptIds.length === 0 || ids.length === 0 || promptIds.length + ids.length - 1 > longest,
  );
  if (sequences.length === 0) throw new EvaluateError("kl: at least one response is required, there is none");
  if (bad >= 0)
    throw new EvaluateError(
      `kl: a prompt and a response of together at most ${longest} tokens are required, ` +
        `row ${bad + 1} has ${sequences[bad]?.promptIds.length} and ${sequences[bad]?.ids.length}`,
    );
}
