/**
 * Preference pairs from a model's own samples: several responses to each prompt, scored by a reward; the best is
 * preferred to the worst. Prompts whose responses all score alike give no pair.
 */
import type { Engine } from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import type { Model } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { TrainError } from "./errors.ts";
import type { RolloutPrompt } from "./policy/rollouts.ts";
import { type ScoredGroup, scoredGroups } from "./policy/scored-groups.ts";

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
  const { model, prompts, samples } = o;
  const { tokenizer } = model;
  if (!tokenizer)
    throw new TrainError(`${model.name}: collecting pairs needs a tokenizer, the model has none`);
  if (!(samples >= 2)) throw new TrainError(`samples: at least 2 are required for a pair, got ${samples}`);
  const pairs: CollectedPair[] = [];
  for await (const groups of scoredGroups({ ...o, tokenizer })) {
    for (const group of groups) {
      const pair = pairOf(group, o.terminatedOnly);
      if (pair) pairs.push(uniform(o.seed, noiseStream, group.index) < o.noise ? turned(pair) : pair);
    }
    o.onProgress?.((groups.at(-1)?.index ?? 0) + 1, prompts.length, pairs.length);
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

/** The best and the worst of the responses to a prompt. */
function pairOf(
  { prompt: { text = "" }, responses, scores }: ScoredGroup,
  terminatedOnly: boolean,
): CollectedPair | undefined {
  const usable = responses
    .map((response, i) => ({ ...response, score: scores[i] as number }))
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
