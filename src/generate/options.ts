/** What a caller may ask of generation, its defaults and its checks. */
import type { ModelConfig } from "../models/config/config.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { GenerateError } from "./errors.ts";
import type { SamplingShape } from "./sample.ts";
import type { FinishReason } from "./stops.ts";

/** A prompt: its token ids, or those with settings of its own. */
export type Prompt = readonly number[] | PromptRow;

export interface PromptRow {
  /** At least one token; text without a start needs the model's bos or end-of-text token. */
  readonly ids: readonly number[];
  readonly maxNewTokens?: number;
  readonly stop?: readonly string[];
  readonly eosTokenIds?: readonly number[];
}

export interface GenerateOptions {
  /** Budget of a row in tokens; the context's end counts too. */
  readonly maxNewTokens?: number;
  /** Take the most likely token. */
  readonly greedy?: boolean;
  /** Scores are divided by it. */
  readonly temperature?: number;
  /** Draw from the k most likely tokens; 0 for all. */
  readonly topK?: number;
  /** Draw from the smallest set of most likely tokens whose probability reaches it; 1 for all. */
  readonly topP?: number;
  /** Draw from the tokens at least this many times as likely as the most likely; 0 for all. */
  readonly minP?: number;
  /** Divides positive and multiplies negative scores of tokens that occurred, the prompt's included; 1 for none. */
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  /** Completions for each prompt, which share its computation and cache. */
  readonly samples?: number;
  /** Texts that end a row; need a tokenizer. */
  readonly stop?: readonly string[];
  /** Ids that end a row; the model's own when left out, none when empty. */
  readonly eosTokenIds?: readonly number[];
  /** Rows that are computed together; as they finish, waiting prompts take their places. */
  readonly batchSize?: number;
  /** Makes text of tokens, for `stop`, `text` and streaming. */
  readonly tokenizer?: Tokenizer;
  readonly signal?: AbortSignal;
}

export interface Completion {
  /** Place of the prompt among the prompts. */
  readonly prompt: number;
  /** Place among the prompt's samples. */
  readonly sample: number;
  /** The generated tokens, the one that ended the row included. */
  readonly ids: number[];
  /**
   * What follows the prompt's text, so that both join (with the space before a first word), without special tokens
   * and up to a stop string; where a tokenizer was given.
   */
  readonly text?: string;
  /** Nats, for each token: log softmax(logits / T), before penalty and filters. */
  readonly logprobs: number[];
  /** Nats, for each token: under the distribution that was drawn from; 0 when greedy. */
  readonly sampledLogprobs: number[];
  readonly finishReason: FinishReason;
}

export interface TokenEvent {
  readonly prompt: number;
  readonly sample: number;
  readonly token: number;
  readonly logprob: number;
  /** Text after the prompt's that became certain, where a tokenizer was given. */
  readonly text?: string;
  /** The row's last token; then `finishReason` says why. */
  readonly done: boolean;
  readonly finishReason?: FinishReason;
}

/** Options as the loop reads them: complete, and able to cross threads. */
export interface Settings {
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly samples: number;
  readonly stop: readonly string[];
  readonly eosTokenIds: readonly number[];
  readonly batchSize: number;
  readonly sampling: SamplingShape;
}

function require(holds: boolean, name: string, needed: string, value: unknown): void {
  if (!holds)
    throw new GenerateError(`generate: ${name} must be ${needed}, got ${value}`, { wrongUsage: true });
}

const wholeFrom = (least: number, x: number) => Number.isInteger(x) && x >= least;

/** Checks options and fills in defaults. */
export function settingsOf(config: ModelConfig, options: GenerateOptions): Settings {
  const { maxNewTokens = 64, greedy = false, temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const { repetitionPenalty = 1, seed = 0, samples = 1, stop = [], batchSize = 64 } = options;
  require(wholeFrom(1, maxNewTokens), "maxNewTokens", "a whole number of at least 1", maxNewTokens);
  require(Number.isFinite(temperature) &&
    temperature > 0, "temperature", "above 0 (greedy: true takes the most likely token)", temperature);
  require(wholeFrom(0, topK), "topK", "a whole number, 0 for all tokens", topK);
  require(topP > 0 && topP <= 1, "topP", "above 0 and at most 1", topP);
  require(minP >= 0 && minP <= 1, "minP", "between 0 and 1", minP);
  require(repetitionPenalty > 0, "repetitionPenalty", "above 0", repetitionPenalty);
  require(Number.isInteger(seed), "seed", "a whole number", seed);
  require(wholeFrom(1, samples), "samples", "a whole number of at least 1", samples);
  require(wholeFrom(1, batchSize), "batchSize", "a whole number of at least 1", batchSize);
  require(stop.every((s) => s !== ""), "stop", "a list of texts that are not empty", JSON.stringify(stop));
  return {
    maxNewTokens,
    temperature,
    topP,
    minP,
    repetitionPenalty,
    seed,
    samples,
    stop,
    eosTokenIds: options.eosTokenIds ?? config.eosTokenIds,
    batchSize,
    sampling: {
      greedy,
      temperature: !greedy && temperature !== 1,
      topK: greedy || topK === 0 || topK >= config.vocabSize ? undefined : topK,
      topP: !greedy && topP < 1,
      minP: !greedy && minP > 0,
      repetitionPenalty: repetitionPenalty !== 1,
    },
  };
}

/** A prompt with its settings, checked against the model; `index` names it in errors, which count from 1. */
export function promptRow(
  config: Pick<ModelConfig, "maxPositions" | "vocabSize">,
  prompt: Prompt,
  index: number,
): PromptRow {
  const row: PromptRow = "ids" in prompt ? prompt : { ids: prompt };
  const { ids, maxNewTokens = 1 } = row;
  const name = `prompt ${index + 1}`;
  if (ids.length === 0)
    throw new GenerateError(
      `generate: ${name} is empty; give it at least a start token (bos or end-of-text)`,
    );
  if (ids.length >= config.maxPositions)
    throw new GenerateError(
      `generate: ${name} has ${ids.length} tokens, and the context of the model is ${config.maxPositions}, which must also hold what is generated; shorten it`,
    );
  const odd = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize);
  if (odd !== undefined)
    throw new GenerateError(
      `generate: ${name} has the id ${odd}, and the vocabulary ends at ${config.vocabSize - 1}`,
    );
  require(wholeFrom(
    1,
    maxNewTokens,
  ), `maxNewTokens of ${name}`, "a whole number of at least 1", maxNewTokens);
  return row;
}
