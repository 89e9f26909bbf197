/**
 * Groups of responses: several to each prompt, sampled, scored and compared with one another.
 */
import type { PromptExample } from "../../data/prompts.ts";
import type { TokenSequence } from "../../data/response-rows.ts";
import { randomBits } from "../../graph/random.ts";
import type { OpenedReward } from "../../reward/reward.ts";
import type { Sample } from "../../runs/run-folder.ts";
import { type RolloutResponse, scoreResponses } from "../policy/rollouts.ts";
import type { IterationSettings } from "../policy/run/iterations.ts";
import type { SamplingPolicy } from "./online-policy.ts";

/** Responses with their prompts and scores; those of one prompt stand together. */
export interface Scored {
  readonly prompts: readonly PromptExample[];
  readonly responses: readonly RolloutResponse[];
  readonly sequences: readonly TokenSequence[];
  /** After the penalty of those that did not end; of what a judge compares all 0. */
  readonly scores: readonly number[];
  /** Whether there is a reward. */
  readonly isScored: boolean;
  readonly tokens: number;
}

/** `samples` responses to each prompt, scored. */
export async function sampleGroups(
  o: IterationSettings,
  reward: OpenedReward,
  sample: SamplingPolicy["sample"],
  prompts: readonly PromptExample[],
  { step, samples, stream = 0 }: { step: number; samples: number; stream?: number },
): Promise<Scored> {
  const responses = await sample(prompts, { seed: randomBits(o.seed, step, stream), samples });
  return scoredOf(o, reward, prompts, responses, samples);
}

/** Scores of responses, `samples` to each prompt. */
export async function scoredOf(
  o: IterationSettings,
  reward: OpenedReward,
  prompts: readonly PromptExample[],
  responses: readonly RolloutResponse[],
  samples: number,
): Promise<Scored> {
  const asked = prompts.flatMap((prompt) => Array.from({ length: samples }, () => prompt));
  const raw = await scoreResponses(reward.score, asked, responses, reward.name);
  const sequences = responses.map(({ ids }, i) => ({ promptIds: (asked[i] as PromptExample).ids, ids }));
  return {
    prompts: asked,
    responses,
    sequences,
    isScored: o.reward !== undefined,
    scores: raw.map((score, i) => (responses[i]?.terminated ? score : score - o.missingEosPenalty)),
    tokens: sequences.reduce((n, { promptIds, ids }) => n + promptIds.length + ids.length, 0),
  };
}

export const meanOf = (values: ArrayLike<number>): number =>
  values.length === 0 ? 0 : Array.from(values).reduce((a, b) => a + b, 0) / values.length;

/** Mean over responses of sum_t log pi - log ref, in nats a response. */
export const sampledKlOf = (
  responses: readonly Pick<RolloutResponse, "logProbs">[],
  reference: readonly Float64Array[],
): number =>
  meanOf(
    responses.map(({ logProbs }, i) =>
      logProbs.reduce((sum, x, t) => sum + x - (reference[i]?.[t] as number), 0),
    ),
  );

/** Figures of a batch of samples, under TRL's names. */
export const sampleMetrics = ({ responses, scores, isScored }: Scored): Record<string, number> => ({
  ...(isScored && { "objective/scores": meanOf(scores) }),
  "objective/entropy": meanOf(responses.map(({ logProbs }) => -logProbs.reduce((a, b) => a + b, 0))),
  "val/num_eos_tokens": responses.filter(({ terminated }) => terminated).length,
  "completions/mean_length": meanOf(responses.map(({ ids }) => ids.length)),
});

/** The first responses, as the run keeps them. */
export const shown = ({ prompts, responses, scores, isScored }: Scored, count: number): Sample[] =>
  responses.slice(0, count).map(({ text, terminated }, i) => ({
    prompt: prompts[i]?.text ?? "",
    completion: text,
    ...(isScored && { score: scores[i] as number }),
    terminated,
  }));
