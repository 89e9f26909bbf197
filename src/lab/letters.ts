/**
 * A problem that can be enumerated: prompts and responses of a few letters, a random transformer as the reference, and
 * a random reward for every response.
 *
 *     r(x, y) = (1 - rough) s(x, y) + rough e(x, y)
 *
 * s adds up what each letter and each pair of neighbours is worth after x, e is noise of its own for every response,
 * which nothing but remembering it predicts. Under the reference, rewards have mean 0 and standard deviation `spread`.
 */
import type { Engine } from "../graph/index.ts";
import { gaussian, permutation } from "../graph/random.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, type Model } from "../models/load.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { allResponses, centred, type EnumerableProblem, type LogPolicy, logPolicyOf } from "./optimum.ts";

export interface LettersOptions {
  readonly letters?: number;
  /** Tokens of a response at most, end-of-text included. */
  readonly maxLength?: number;
  readonly prompts?: number;
  readonly hiddenSize?: number;
  readonly numLayers?: number;
  /** Share of the reward that has no structure, from 0 to 1. */
  readonly rough?: number;
  /** Standard deviation of the rewards: the wider, the surer are preferences that are drawn from them. */
  readonly spread?: number;
  readonly seed?: number;
}

export interface LettersProblem extends EnumerableProblem {
  /** The reference, with a tokenizer. */
  readonly model: Model;
  readonly reference: LogPolicy;
  readonly maxLength: number;
  /** Ids as text; the end-of-text token is written out. */
  text(ids: readonly number[]): string;
}

const eos = "</s>";
const promptLength = 2;

/** A tokenizer with one token for each letter from "a" on, and end-of-text as id 0. */
function letterTokenizer(letters: number) {
  const names = Array.from({ length: letters }, (_, i) => String.fromCharCode(97 + i));
  const special = { id: 0, content: eos, single_word: false, lstrip: false, rstrip: false };
  return createTokenizer({
    tokenizer: {
      version: "1.0",
      added_tokens: [{ ...special, normalized: false, special: true }],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries([eos, ...names].map((name, id) => [name, id])),
        merges: [],
      },
    },
    config: { eos_token: eos, pad_token: eos },
  });
}

export async function lettersProblem(
  engine: Engine,
  {
    letters = 4,
    maxLength = 3,
    prompts: count = 4,
    hiddenSize = 64,
    numLayers = 2,
    rough = 0.1,
    spread = 1,
    seed = 0,
  }: LettersOptions = {},
): Promise<LettersProblem> {
  const tokenizer = letterTokenizer(letters);
  const { vocabSize } = tokenizer;
  const config = configOf("llama", {
    vocabSize,
    hiddenSize,
    numLayers,
    numHeads: 4,
    maxPositions: promptLength + maxLength + 2,
    eosTokenId: 0,
    padTokenId: 0,
  });
  const model = createModel(config, seed, tokenizer, "letters");
  const responses = allResponses(vocabSize, { eosTokenId: 0, maxLength });
  const places = permutation(letters ** promptLength, seed, 0);
  const prompts = Array.from(places.subarray(0, count), (place) => [
    1 + Math.floor(place / letters),
    1 + (place % letters),
  ]);
  const reference = await logPolicyOf(engine, model, { prompts, responses });
  const rewards = prompts.map((prompt, x) => {
    const draw = (stream: number, n: number) => gaussian(new Float32Array(n), seed, 10 * (x + 1) + stream);
    const [single, paired] = [draw(0, vocabSize), draw(1, vocabSize * vocabSize)];
    const structured = responses.map((ids) =>
      ids.reduce((sum, id, t) => {
        const before = t === 0 ? (prompt.at(-1) as number) : (ids[t - 1] as number);
        return sum + (single[id] as number) + (paired[before * vocabSize + id] as number);
      }, 0),
    );
    const noise = draw(2, responses.length);
    const logProbs = reference[x] as Float64Array;
    const [s, e] = [standardised(structured, logProbs), standardised(noise, logProbs)];
    return standardised(
      s.map((value, y) => (1 - rough) * value + rough * (e[y] as number)),
      logProbs,
    ).map((value) => spread * value);
  });
  const text = (ids: readonly number[]) => tokenizer.decode(ids);
  return { prompts, responses, rewards, reference, model, maxLength, text };
}

/** Values with mean 0 and standard deviation 1 under a distribution. */
function standardised(values: ArrayLike<number>, logProbs: Float64Array): Float64Array {
  const [row] = centred([Float64Array.from(values)], [logProbs]) as [Float64Array];
  const variance = row.reduce((sum, value, y) => sum + value ** 2 * Math.exp(logProbs[y] as number), 0);
  return row.map((value) => value / Math.sqrt(variance));
}
