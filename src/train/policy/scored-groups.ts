/** Several responses to each prompt from a model that does not change, scored: batch after batch, one prompt at a time. */
import type { Engine } from "../../graph/index.ts";
import { unflatten } from "../../graph/index.ts";
import type { Model } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { Reward } from "../../reward/reward.ts";
import { createSampler, type RolloutPrompt, type RolloutResponse, scoreResponses } from "./rollouts.ts";

export interface ScoredGroupOptions {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly prompts: readonly RolloutPrompt[];
  readonly reward: Reward;
  readonly engine: Engine;
  /** Responses to each prompt. */
  readonly samples: number;
  /** Tokens of a response, at most. */
  readonly responseLength: number;
  readonly temperature: number;
  /** Prompts that are sampled together. */
  readonly batchSize: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

/** A prompt, its number, and its responses with a score each. */
export interface ScoredGroup {
  readonly index: number;
  readonly prompt: RolloutPrompt;
  readonly responses: readonly RolloutResponse[];
  readonly scores: readonly number[];
}

/** The groups of each batch, until there are no more prompts or the signal ends it. */
export async function* scoredGroups(o: ScoredGroupOptions): AsyncGenerator<ScoredGroup[]> {
  const { model, engine, prompts, samples, signal } = o;
  const weights = await engine.put(unflatten(model.parameters));
  const sampler = createSampler(engine, model.config, weights, {
    tokenizer: o.tokenizer,
    temperature: o.temperature,
    maxNewTokens: o.responseLength,
    batchSize: o.batchSize,
  });
  try {
    for (let from = 0; from < prompts.length && !signal?.aborted; from += o.batchSize) {
      const part = prompts.slice(from, from + o.batchSize);
      // Other prompts, another seed: the samples of a prompt do not depend on how many others there are.
      const responses = await sampler.sample(part, { seed: o.seed + from, samples, signal });
      const asked = part.flatMap((prompt) => Array.from({ length: samples }, () => prompt));
      const scores = await scoreResponses(o.reward, asked, responses);
      yield part.map((prompt, i) => ({
        index: from + i,
        prompt,
        responses: responses.slice(i * samples, (i + 1) * samples),
        scores: scores.slice(i * samples, (i + 1) * samples),
      }));
    }
  } finally {
    await sampler.dispose();
    await engine.free(weights);
  }
}
