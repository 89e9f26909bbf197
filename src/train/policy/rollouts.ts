/**
 * Rollouts: responses sampled from the policy as it is now, and what a reward says about them. Every on-policy method
 * begins here.
 *
 * Token in, token out: what was sampled is what is trained on. Text is made of it for the reward alone. The
 * log-probabilities are those of the moment of sampling, at the temperature of sampling.
 */

import { createGenerator, type Generator } from "../../generate/index.ts";
import type { Engine, HostArray, Resident, Tree } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { checked, type Reward, type RewardInput } from "../../reward/reward.ts";

/** A prompt as `loadPrompts` gives it. */
export interface RolloutPrompt {
  readonly ids: ArrayLike<number>;
  readonly text?: string;
  readonly messages?: RewardInput["messages"];
  /** The other columns of its row, which the reward gets. */
  readonly row?: Readonly<Record<string, unknown>>;
}

export interface RolloutResponse {
  /** The sampled tokens, the one that ended the response included. */
  readonly ids: readonly number[];
  /** Nats, for each token: log softmax(logits / T) of the policy that sampled it. */
  readonly logProbs: readonly number[];
  /** Ended by itself (end-of-text or a stop token), not by the limit. */
  readonly terminated: boolean;
  /** Without special tokens. */
  readonly text: string;
}

export interface SamplerOptions {
  readonly tokenizer: Tokenizer;
  readonly temperature: number;
  /** Tokens of a response, at most. */
  readonly maxNewTokens: number;
  /** Ids that end a response; the model's own when left out. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Rows that are sampled together. */
  readonly batchSize: number;
  /** Samples with projections in 8 bits: faster, and from a slightly other distribution than the policy's. */
  readonly int8?: boolean;
  /** Samples from the geometric mixture with another model of the same shape: p^(1-coefficient) q^coefficient. */
  readonly mixture?: { readonly weights: Tree<HostArray> | Tree<Resident>; readonly coefficient: number };
}

export interface Sampler {
  /**
   * `samples` responses to each prompt, those of one prompt together. The same seed gives the same responses, whatever
   * else is in the batch.
   */
  sample(
    prompts: readonly RolloutPrompt[],
    options: { readonly seed: number; readonly samples?: number; readonly signal?: AbortSignal | undefined },
  ): Promise<RolloutResponse[]>;
  dispose(): Promise<void>;
}

/**
 * Samples from the weights that `weights` gives: residents, which are read where they are, or arrays, which become
 * part of a graph that is compiled anew for each call.
 */
export function createSampler(
  engine: Engine,
  config: ModelConfig,
  weights: Tree<Resident> | (() => Promise<Tree<HostArray>>),
  { tokenizer, temperature, maxNewTokens, stopTokenIds, batchSize, int8 = false, mixture }: SamplerOptions,
): Sampler {
  const kept =
    typeof weights === "function"
      ? undefined
      : createGenerator(engine, config, weights, { ...(mixture && { mixture }) });
  const settings = {
    tokenizer,
    temperature,
    maxNewTokens,
    batchSize,
    ...(stopTokenIds && { eosTokenIds: stopTokenIds }),
  };
  const generatorNow = async (): Promise<Generator> =>
    kept ??
    createGenerator(engine, config, await (weights as () => Promise<Tree<HostArray>>)(), {
      int8,
      ...(mixture && { mixture }),
    });
  return {
    async sample(prompts, { seed, samples = 1, signal }) {
      const generator = await generatorNow();
      try {
        const completions = await generator.generate(
          prompts.map(({ ids }) => Array.from(ids)),
          { ...settings, seed, samples, ...(signal && { signal }) },
        );
        return completions.map(({ ids, logprobs, sampledLogprobs, finishReason, text = "" }) => ({
          ids,
          logProbs: int8 ? sampledLogprobs : logprobs,
          terminated: finishReason !== "length",
          text,
        }));
      } finally {
        if (!kept) await generator.dispose();
      }
    },
    dispose: async () => kept?.dispose(),
  };
}

/**
 * Scores of responses; `prompts[i]` is the prompt of `responses[i]`.
 *
 * @throws RewardError when the reward gives another number of scores, or one that is not finite
 */
export async function scoreResponses(
  reward: Reward,
  prompts: readonly RolloutPrompt[],
  responses: readonly RolloutResponse[],
  name = "function",
): Promise<number[]> {
  const scores = await checked(
    reward,
    name,
  )(
    responses.map(({ ids, text, terminated }, i): RewardInput => {
      const { ids: promptIds, text: prompt = "", messages, row } = prompts[i] as RolloutPrompt;
      return {
        prompt,
        completion: text,
        promptIds: Array.from(promptIds),
        completionIds: ids,
        ...(messages && { messages }),
        terminated,
        ...(row && { row }),
      };
    }),
  );
  return [...scores];
}
