/**
 * Preference pairs from a model's own samples: several responses to each prompt, scored by a reward; the best is
 * preferred to the worst. Prompts whose responses all score alike give no pair.
 */
import type { Engine } from "../graph/index.ts";
import { unflatten } from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import type { Model } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { TrainError } from "./errors.ts";
import {
  createSampler,
  type RolloutPrompt,
  type RolloutResponse,
  scoreResponses,
} from "./policy/rollouts.ts";

export interface CollectOptions {
  readonly model: Model;
  readonly prompts: readonly RolloutPrompt[];
  readonly reward: Reward;
  readonly engine: Engine;
  /** Responses to each prompt. */
  readonly samples?: number;
  /** Tokens of a response, at most. */
  readonly responseLength?: number;
  readonly temperature?: number;
  /** Leave out responses that did not end by themselves. Default true: a pair would teach where to break off. */
  readonly terminatedOnly?: boolean;
  readonly batchSize?: number;
  /** Share of pairs that are turned round, as people who compare slip. Default 0. */
  readonly noise?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number, pairs: number) => void;
}

/** A row of preference data, with what is known of it. */
export interface CollectedPair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  readonly score_chosen: number;
  readonly score_rejected: number;
}

export const collectDefaults = {
  samples: 4,
  responseLength: 64,
  temperature: 1,
  terminatedOnly: true,
  batchSize: 64,
  noise: 0,
  seed: 42,
} as const;

/** Which pairs are turned round is drawn apart from everything else. */
const noiseStream = 11;

/**
 * Samples, scores and pairs.
 *
 * @throws TrainError when the model has no tokenizer or fewer than two samples are asked for; RewardError
 */
export async function collectPairs(options: CollectOptions): Promise<CollectedPair[]> {
  const o = { ...collectDefaults, ...options };
  const { model, prompts, reward, engine, signal, samples } = o;
  const { tokenizer } = model;
  if (!tokenizer)
    throw new TrainError(`${model.name}: collecting pairs needs a tokenizer, the model has none`);
  if (!(samples >= 2)) throw new TrainError(`samples: at least 2 are required for a pair, got ${samples}`);
  const weights = unflatten(model.parameters);
  const resident = await engine.put(weights);
  const sampler = createSampler(engine, model.config, resident, {
    tokenizer,
    temperature: o.temperature,
    maxNewTokens: o.responseLength,
    batchSize: o.batchSize,
  });
  const pairs: CollectedPair[] = [];
  try {
    for (let from = 0; from < prompts.length && !signal?.aborted; from += o.batchSize) {
      const part = prompts.slice(from, from + o.batchSize);
      // Other prompts, another seed: the samples of a prompt do not depend on how many others there are.
      const responses = await sampler.sample(part, { seed: o.seed + from, samples, signal });
      const asked = part.flatMap((prompt) => Array.from({ length: samples }, () => prompt));
      const scores = await scoreResponses(reward, asked, responses);
      for (const [i, prompt] of part.entries()) {
        const pair = pairOf(prompt, responses, scores, { from: i * samples, to: (i + 1) * samples, ...o });
        if (pair) pairs.push(uniform(o.seed, noiseStream, from + i) < o.noise ? turned(pair) : pair);
      }
      o.onProgress?.(Math.min(from + o.batchSize, prompts.length), prompts.length, pairs.length);
    }
  } finally {
    await sampler.dispose();
    await engine.free(resident);
  }
  return pairs;
}

const turned = (pair: CollectedPair): CollectedPair => ({
  ...pair,
  chosen: pair.rejected,
  rejected: pair.chosen,
  score_chosen: pair.score_rejected,
  score_rejected: pair.score_chosen,
});

/** The best and the worst of the responses from `from` to `to`. */
function pairOf(
  { text = "" }: RolloutPrompt,
  responses: readonly RolloutResponse[],
  scores: readonly number[],
  { from, to, terminatedOnly }: { from: number; to: number; terminatedOnly: boolean },
): CollectedPair | undefined {
  const usable = responses
    .slice(from, to)
    .map((response, i) => ({ ...response, score: scores[from + i] as number }))
    .filter((response) => response.text !== "" && (response.terminated || !terminatedOnly))
    .sort((a, b) => b.score - a.score);
  const [best, worst] = [usable[0], usable.at(-1)];
  if (!best || !worst || best.score === worst.score) return undefined;
  return {
    prompt: text,
    chosen: best.text,
    rejected: worst.text,
    score_chosen: best.score,
    score_rejected: worst.score,
  };
}
