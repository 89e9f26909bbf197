/**
 * Preference pairs from a model's own samples: several responses to each prompt, scored by a reward; the best is
 * preferred to the worst, the second best to the second worst, and so on, so that no response is in two pairs. Responses
 * that score alike make no pair.
 */
import type { Engine } from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import type { Model } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { TrainError } from "./errors.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import type { RolloutPrompt } from "./policy/rollouts.ts";
import { type ScoredGroup, scoredGroups } from "./policy/scored-groups.ts";

export interface CollectOptions {
  readonly model: Model;
  readonly prompts: readonly RolloutPrompt[];
  readonly reward: Reward;
  readonly engine: Engine;
  /** Responses to each prompt. */
  readonly samples?: number;
  /** Pairs from the responses to a prompt, at most; no more than half as many as there are samples. Default 1. */
  readonly pairsPerPrompt?: number;
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
  pairsPerPrompt: 1,
  responseLength: 64,
  temperature: 1,
  terminatedOnly: true,
  batchSize: 64,
  noise: 0,
  seed: 42,
} as const;

/** Which pairs are turned round is drawn apart from everything else. */
const noiseStream = 11;

/** @throws TrainError where so many samples do not make so many pairs */
export function checkCollect(options: Pick<CollectOptions, "samples" | "pairsPerPrompt">): void {
  const { samples, pairsPerPrompt } = withDefaults(collectDefaults, options);
  if (!(samples >= 2))
    throw new TrainError(`num_samples: at least 2 are required for a pair, got ${samples}`);
  if (!(Number.isInteger(pairsPerPrompt) && pairsPerPrompt >= 1 && 2 * pairsPerPrompt <= samples))
    throw new TrainError(
      `pairs_per_prompt: from 1 to half of the ${samples} samples are required, got ${pairsPerPrompt}; no response is in two pairs`,
    );
}

/**
 * Samples, scores and pairs.
 *
 * @throws TrainError when the model has no tokenizer or fewer than two samples are asked for; RewardError
 */
export async function collectPairs(options: CollectOptions): Promise<CollectedPair[]> {
  const o = { ...collectDefaults, ...options };
  const { model, prompts } = o;
  const { tokenizer } = model;
  if (!tokenizer)
    throw new TrainError(`${model.name}: collecting pairs needs a tokenizer, the model has none`);
  checkCollect(o);
  const pairs: CollectedPair[] = [];
  for await (const groups of scoredGroups({ ...o, tokenizer })) {
    for (const group of groups) {
      for (const [i, pair] of pairsOf(group, o).entries()) {
        const slips = uniform(o.seed, noiseStream, group.index * o.pairsPerPrompt + i) < o.noise;
        pairs.push(slips ? turned(pair) : pair);
      }
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

/** The best and the worst of the responses to a prompt, the best and the worst of the others, ... */
function pairsOf(
  { prompt: { text = "" }, responses, scores }: ScoredGroup,
  { terminatedOnly, pairsPerPrompt }: Required<Pick<CollectOptions, "terminatedOnly" | "pairsPerPrompt">>,
): CollectedPair[] {
  const usable = responses
    .map((response, i) => ({ ...response, score: scores[i] as number }))
    .filter((response) => response.text !== "" && (response.terminated || !terminatedOnly))
    .sort((a, b) => b.score - a.score);
  return usable.slice(0, Math.min(pairsPerPrompt, Math.floor(usable.length / 2))).flatMap((better, i) => {
    const worse = usable.at(-1 - i);
    if (!worse || better.score === worse.score) return [];
    return {
      prompt: text,
      chosen: better.text,
      rejected: worse.text,
      score_chosen: better.score,
      score_rejected: worse.score,
    };
  });
}
