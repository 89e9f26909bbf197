/**
 * Learning from conversations: episodes of several turns in an environment, and a policy gradient over the tokens that
 * the model said.
 *
 *     rollout     n episodes from each opening, in lockstep                               environment/episodes.ts
 *     score       the environment's reward for each turn
 *     advantage   G_k = sum of the rewards from turn k on, less the mean of the other episodes of the group
 *                 (RLOO, Ahmadian et al. 2024, turn by turn)
 *     loss, step  1/n sum_t (beta sum_{s>=t} (log pi - log ref)(s) - A) log pi(t)         online/weighted-tokens.ts
 *
 * What the environment says stands in the context and never in the loss.
 */
import type { PromptExample } from "../data/prompts.ts";
import { randomBits } from "../graph/random.ts";
import { encodeChat } from "../models/chat/chat-tokens.ts";
import type { MakeEnvironment } from "./environment/environment.ts";
import { type Episode, runEpisodes } from "./environment/episodes.ts";
import { openEnvironment } from "./environment/node-environment.ts";
import { TrainError } from "./errors.ts";
import { chunks } from "./loop/plan.ts";
import { textModelOf } from "./loop/text-model.ts";
import { meanOf } from "./online/groups.ts";
import { openOnlinePolicy } from "./online/online-policy.ts";
import { weightedBatch, weightedLoss, weightedSpec } from "./online/weighted-tokens.ts";
import {
  type IterationOptions,
  iterationDefaults,
  iterationSettings,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./policy/run/iterations.ts";
import { checkCounts } from "./prompted-options.ts";

export interface MultiTurnOptions
  extends Omit<IterationOptions, "prompts" | "reward" | "missingEosPenalty" | "promptsPerStep" | "refModel"> {
  /** `conversation`, `./mine.ts#name`, or a function that makes environments. */
  readonly environment: string | MakeEnvironment;
  /** Of an environment in the box. */
  readonly environmentOptions?: object | undefined;
  readonly refModel?: IterationOptions["refModel"];
  /** Openings of an iteration. */
  readonly promptsPerStep?: number | undefined;
  /** Episodes from each opening; their rewards are compared. */
  readonly numGenerations?: number | undefined;
  /** Different openings: seeds of `reset`. */
  readonly numOpenings?: number | undefined;
  /** Turns of the model, at most. */
  readonly maxTurns?: number | undefined;
  /** beta: weight of the KL to the reference. */
  readonly beta?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const multiTurnDefaults = {
  ...iterationDefaults,
  learningRate: 1e-5,
  promptsPerStep: 8,
  numGenerations: 8,
  numOpenings: 256,
  responseLength: 32,
  maxTurns: 5,
  beta: 0.02,
} as const satisfies Partial<MultiTurnOptions> & Partial<IterationOptions>;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that cannot be meant
 */
export function multiTurnSettings(options: MultiTurnOptions) {
  const o = iterationSettings(multiTurnDefaults, options);
  checkCounts(o, 2, ["numGenerations"]);
  checkCounts(o, 1, ["numOpenings", "maxTurns"]);
  if (!(o.beta >= 0)) throw new TrainError(`beta: at least 0 is required, got ${o.beta}`);
  return o;
}

/**
 * Trains a model in an environment.
 *
 * @throws TrainError, RunError with what is required, what came and what to do
 * @example
 * const { policy } = await multiTurn({ model: await loadModel("my-model"), environment: "conversation" });
 */
export async function multiTurn(options: MultiTurnOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const o = multiTurnSettings(options);
  const { environment, environmentOptions, numGenerations, numOpenings, maxTurns, beta } = o;
  const make = await openEnvironment(environment, {
    ...(environmentOptions && { options: environmentOptions }),
  });
  // A model without a template of its own speaks plainly.
  const chatTemplate = o.chatTemplate ?? o.model.chatTemplate ?? (hasTemplate(o.model) ? undefined : "plain");
  const text = textModelOf(
    o.model,
    { ...(o.lora && { lora: o.lora }), ...(chatTemplate !== undefined && { chatTemplate }) },
    { trainer: "multi-turn", defaultLength: o.model.config.maxPositions },
  );
  const template = { ...(text.model.chatTemplate !== undefined && { template: text.model.chatTemplate }) };
  const prompts: PromptExample[] = [];
  for (let seed = 0; seed < numOpenings; seed++) {
    const one = await make();
    const own = randomBits(o.seed, seed);
    const { observation } = await one.reset({ seed: own });
    await one.close?.();
    const { ids, text: said } = encodeChat(text.tokenizer, [{ role: "user", content: `${observation}` }], {
      ...template,
      addGenerationPrompt: true,
    });
    prompts.push({
      ids: Int32Array.from(ids),
      text: said,
      row: { seed: own },
      source: { file: "environment", line: seed + 1 },
    });
  }
  const settings = { ...o, model: text.model, prompts, missingEosPenalty: 0 };
  return runIterations(
    settings,
    {
      name: "multi-turn",
      promptsPerStep: o.promptsPerStep,
      decisive: {
        numGenerations,
        numOpenings,
        maxTurns,
        beta,
        ...(typeof environment === "string" && { environment }),
      },
      async open(place) {
        const { config } = place.model;
        // An episode may fill the context, and so may a row of an update.
        const longestPrompt = config.maxPositions - o.responseLength;
        const policy = await openOnlinePolicy({ ...place, longestPrompt }, settings, {
          loss: weightedLoss(config),
          batchSpec: weightedSpec,
          accumulate: true,
        });
        let hasWarned = false;
        return {
          ...policy,
          async iterate(openings, step) {
            const seeds = openings.flatMap(({ row }) =>
              Array.from({ length: numGenerations }, () => row.seed as number),
            );
            const episodes = await runEpisodes(make, seeds, randomBits(o.seed, step, 2), {
              tokenizer: place.tokenizer,
              chatTemplate: text.model.chatTemplate,
              maxTurns,
              maxTokens: config.maxPositions,
              responseLength: o.responseLength,
              sample: policy.sample,
            });
            const endless = episodes.filter(({ terminated }) => !terminated).length;
            if (endless === episodes.length && !hasWarned) {
              hasWarned = true;
              place.onWarning(
                `step ${step + 1}: none of ${episodes.length} episodes came to an end within ${maxTurns} turns; all were broken off there`,
              );
            }
            const sequences = episodes.map(({ promptIds, ids }) => ({ promptIds, ids }));
            const reference = await policy.referenceLogProbs(sequences);
            const { advantages, equalGroups } = turnAdvantages(episodes, numGenerations);
            const weights = episodes.map((episode, i) =>
              tokenWeights(episode, reference[i] as Float64Array, advantages[i] as number[], beta),
            );
            const micro = chunks(sequences, o.batchSize).map((part, k) =>
              weightedBatch(part, weights.slice(k * o.batchSize, (k + 1) * o.batchSize), o.temperature),
            );
            const trained = await policy.update(micro, episodes.length, policy.rate(step));
            const own = episodes.map(({ turns }) => turns.reduce((n, { from, to }) => n + to - from, 0));
            return {
              metrics: {
                "objective/scores": meanOf(episodes.map(({ reward }) => reward)),
                "objective/kl": meanOf(
                  episodes.map(({ turns, logProbs }, i) =>
                    turns.reduce((sum, { from, to }) => {
                      let kl = 0;
                      for (let t = from; t < to; t++)
                        kl += (logProbs[t] as number) - (reference[i]?.[t] as number);
                      return sum + kl;
                    }, 0),
                  ),
                ),
                "episodes/turns": meanOf(episodes.map(({ turns }) => turns.length)),
                "episodes/terminated": 1 - endless / episodes.length,
                "completions/mean_length": meanOf(own),
                frac_reward_zero_std: equalGroups / openings.length,
                ...trained,
                lr: policy.rate(step),
              },
              responses: episodes.length,
              tokens: sequences.reduce((n, { promptIds, ids }) => n + promptIds.length + ids.length, 0),
              samples: episodes.slice(0, o.numSamples).map((episode) => ({
                prompt: episode.observations[0] ?? "",
                completion: transcript(episode),
                score: episode.reward,
                terminated: episode.terminated,
              })),
            };
          },
        };
      },
    },
    hooks,
  );
}

const hasTemplate = ({ tokenizer }: IterationOptions["model"]): boolean =>
  tokenizer?.config.chat_template !== undefined;

/** What was said, after the opening; a line a turn. */
const transcript = ({ turns, observations }: Episode): string =>
  turns
    .flatMap(({ text }, i) => [
      text,
      ...(observations[i + 1] !== undefined ? [`> ${observations[i + 1]}`] : []),
    ])
    .join("\n");

/**
 * For each turn of each episode its return, the rewards from it on, less the mean of the other episodes of its group at
 * the same turn; those that had ended by then count 0.
 */
export function turnAdvantages(
  episodes: readonly Pick<Episode, "turns" | "reward">[],
  size: number,
): { advantages: number[][]; equalGroups: number } {
  const returns = episodes.map(({ turns }) => {
    const out = turns.map(({ reward }) => reward);
    for (let k = out.length - 2; k >= 0; k--) out[k] = (out[k] as number) + (out[k + 1] as number);
    return out;
  });
  let equalGroups = 0;
  for (let from = 0; from < episodes.length; from += size) {
    const group = episodes.slice(from, from + size);
    if (group.every(({ reward }) => reward === group[0]?.reward)) equalGroups++;
  }
  const advantages = returns.map((own, i) => {
    const from = i - (i % size);
    return own.map((value, k) => {
      let others = 0;
      for (let j = from; j < from + size; j++) if (j !== i) others += returns[j]?.[k] ?? 0;
      return value - others / (size - 1);
    });
  });
  return { advantages, equalGroups };
}

/** What each token's log-probability is weighed with: 0 where the environment spoke. */
export function tokenWeights(
  { ids, logProbs, turns }: Pick<Episode, "ids" | "logProbs" | "turns">,
  reference: ArrayLike<number>,
  advantages: readonly number[],
  beta: number,
): Float64Array {
  const weights = new Float64Array(ids.length);
  let ahead = 0;
  for (let k = turns.length - 1; k >= 0; k--) {
    const { from, to } = turns[k] as Episode["turns"][number];
    for (let t = to - 1; t >= from; t--) {
      ahead += (logProbs[t] as number) - (reference[t] as number);
      weights[t] = beta * ahead - (advantages[k] as number);
    }
  }
  return weights;
}
