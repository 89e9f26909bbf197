/**
 * Best of n: n responses to each prompt, of which the one that scores best is taken. No training at all, and hard to
 * beat where sampling is cheap (Stiennon et al. 2020; Nakano et al. 2021).
 *
 * It moves away from the policy by at most KL = log n - (n - 1) / n nats a response (Stiennon et al. 2020, appendix G.3;
 * an upper bound that is exact where no two responses score alike, Beirami et al. 2024).
 */
import type { Engine } from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import type { Reward } from "../reward/reward.ts";
import { TrainError } from "./errors.ts";
import type { RolloutPrompt, RolloutResponse } from "./policy/rollouts.ts";
import { scoredGroups } from "./policy/scored-groups.ts";

export interface BestOfOptions {
  readonly model: Model;
  readonly prompts: readonly RolloutPrompt[];
  readonly reward: Reward;
  readonly engine: Engine;
  /** n: responses to each prompt. */
  readonly samples?: number;
  /** Tokens of a response, at most. */
  readonly responseLength?: number;
  readonly temperature?: number;
  /** Take one that did not end by itself only where none did. Default true. */
  readonly terminatedOnly?: boolean;
  /** Prompts that are sampled together. */
  readonly batchSize?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The best response to a prompt; a row that `sft` trains on. */
export interface BestOf {
  readonly prompt: string;
  readonly completion: string;
  readonly score: number;
  /** Of all n, in the order in which they were sampled. */
  readonly scores: readonly number[];
  readonly terminated: boolean;
}

export const bestOfDefaults = {
  samples: 8,
  responseLength: 64,
  temperature: 1,
  terminatedOnly: true,
  batchSize: 64,
  seed: 42,
} as const;

/** The most that the best of n moves away from the policy: nats a response. */
export const bestOfKl = (n: number): number => Math.log(n) - (n - 1) / n;

/** The number of the best response: of those that ended, where there are any; the earlier of two that score alike. */
export function bestIndex(
  scores: readonly number[],
  terminated: readonly boolean[] = [],
  terminatedOnly = true,
): number {
  const usable = scores.map((_, i) => i).filter((i) => !terminatedOnly || (terminated[i] ?? true));
  const among = usable.length > 0 ? usable : scores.map((_, i) => i);
  return among.reduce((best, i) => ((scores[i] as number) > (scores[best] as number) ? i : best));
}

/**
 * Samples, scores and takes the best of each prompt's responses.
 *
 * @throws TrainError when the model has no tokenizer or no samples are asked for; RewardError
 * @example
 * const rows = await bestOfN({ model, prompts, reward, engine, samples: 16 });
 */
export async function bestOfN(options: BestOfOptions): Promise<BestOf[]> {
  const o = { ...bestOfDefaults, ...options };
  const { model, prompts, samples } = o;
  const { tokenizer } = model;
  if (!tokenizer) throw new TrainError(`${model.name}: best-of-n needs a tokenizer, the model has none`);
  if (!Number.isInteger(samples) || samples < 1)
    throw new TrainError(`num_samples: a whole number of at least 1 is required, got ${samples}`);
  const rows: BestOf[] = [];
  for await (const groups of scoredGroups({ ...o, tokenizer })) {
    for (const { prompt, responses, scores } of groups) {
      const ended = responses.map(({ terminated }) => terminated);
      const at = bestIndex(scores, ended, o.terminatedOnly);
      const { text: completion, terminated } = responses[at] as RolloutResponse;
      rows.push({ prompt: prompt.text ?? "", completion, score: scores[at] as number, scores, terminated });
    }
    o.onProgress?.(rows.length, prompts.length);
  }
  return rows;
}
