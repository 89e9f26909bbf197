/**
 * Episodes of many environments in lockstep: all that are still going on take their turns together, in one batch of the
 * generator.
 *
 * Token in, token out: what was sampled stays as it was sampled, and what an environment says is put behind it as the
 * tokens that the chat template has for it. Nothing is decoded and tokenised again, so the tokens that are trained on
 * are those that were drawn; the environment's tokens never count in a loss.
 */

import { randomBits } from "../../graph/random.ts";
import { encodeChat } from "../../models/chat/chat-tokens.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { TrainError } from "../errors.ts";
import type { RolloutPrompt, RolloutResponse } from "../policy/rollouts.ts";
import { checkedEnvironments } from "./checked.ts";
import type { Environment, MakeEnvironment } from "./environment.ts";

export interface EpisodeOptions {
  readonly tokenizer: Tokenizer;
  /** Jinja source or a name; by default the tokenizer's own. */
  readonly chatTemplate?: string | undefined;
  /** Turns of the model, at most: an environment that never ends is broken off. */
  readonly maxTurns: number;
  /** Tokens of an episode, at most: the model's context. */
  readonly maxTokens: number;
  /** Tokens of a turn, at most. */
  readonly responseLength: number;
  readonly sample: (
    prompts: readonly RolloutPrompt[],
    options: { seed: number; samples: number },
  ) => Promise<RolloutResponse[]>;
}

/** A turn of the model: where its tokens stand in the episode's `ids`, and what it earned. */
export interface Turn {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly reward: number;
}

export interface Episode {
  /** Tokens before the first turn. */
  readonly promptIds: readonly number[];
  /** All tokens after them: the model's turns, and between them what the environment said. */
  readonly ids: readonly number[];
  /** Of the model's tokens, at the moment of sampling; 0 for the others. */
  readonly logProbs: readonly number[];
  readonly turns: readonly Turn[];
  /** What the environment said, the first time before the first turn. */
  readonly observations: readonly string[];
  /** The sum over turns. */
  readonly reward: number;
  /** Ended by the environment; else it was broken off, by a limit of turns or tokens. */
  readonly terminated: boolean;
}

const mark = "\u2063attune\u2063"; // stands for what the model said

/** The tokens of the chat template between a turn of the model and the next one, for what the environment says. */
function bridgeOf({ tokenizer, chatTemplate }: EpisodeOptions, observation: string): number[] {
  const messages = [
    { role: "user", content: "." },
    { role: "assistant", content: mark },
    { role: "user", content: observation },
  ];
  const { text } = encodeChat(tokenizer, messages, {
    ...(chatTemplate !== undefined && { template: chatTemplate }),
    addGenerationPrompt: true,
  });
  const at = text.lastIndexOf(mark);
  if (at < 0)
    throw new TrainError(
      "multi-turn: the chat template drops what the assistant said; give another chat_template",
    );
  return tokenizer.encode(text.slice(at + mark.length), { addSpecialTokens: false });
}

interface Going {
  readonly environment: Environment;
  readonly promptIds: readonly number[];
  readonly ids: number[];
  readonly logProbs: number[];
  readonly turns: Turn[];
  readonly observations: string[];
  terminated: boolean;
  done: boolean;
}

/**
 * Runs one episode for each seed; the same seeds, and the same policy, give the same episodes.
 *
 * @throws TrainError when an environment does not answer as it must
 */
export async function runEpisodes(
  make: MakeEnvironment,
  seeds: readonly number[],
  seed: number,
  options: EpisodeOptions,
): Promise<Episode[]> {
  const { tokenizer, chatTemplate, maxTurns, maxTokens, responseLength, sample } = options;
  const makeChecked = checkedEnvironments(make, make.name || "function");
  const all: Going[] = [];
  try {
    for (const own of seeds) {
      const environment = await makeChecked();
      const { observation } = await environment.reset({ seed: own });
      const { ids } = encodeChat(tokenizer, [{ role: "user", content: observation }], {
        ...(chatTemplate !== undefined && { template: chatTemplate }),
        addGenerationPrompt: true,
      });
      all.push({
        environment,
        promptIds: ids,
        ids: [],
        logProbs: [],
        turns: [],
        observations: [observation],
        terminated: false,
        done: ids.length + responseLength > maxTokens,
      });
    }
    for (let turn = 0; turn < maxTurns; turn++) {
      const going = all.filter(({ done }) => !done);
      if (going.length === 0) break;
      const responses = await sample(
        going.map(({ promptIds, ids }) => ({ ids: [...promptIds, ...ids] })),
        { seed: randomBits(seed, turn), samples: 1 },
      );
      await Promise.all(
        going.map(async (episode, i) => {
          const { ids, logProbs, text } = responses[i] as RolloutResponse;
          const from = episode.ids.length;
          episode.ids.push(...ids);
          episode.logProbs.push(...logProbs);
          const answer = await episode.environment.step(text.trim());
          episode.turns.push({ from, to: episode.ids.length, text: text.trim(), reward: answer.reward });
          episode.terminated = answer.terminated;
          episode.done = answer.terminated || answer.truncated || turn + 1 === maxTurns;
          if (episode.done) return;
          const bridge = bridgeOf(options, answer.observation);
          // The end of the turn that the model drew itself is there already.
          if (bridge[0] === ids.at(-1)) bridge.shift();
          if (episode.promptIds.length + episode.ids.length + bridge.length + responseLength > maxTokens) {
            episode.done = true;
            return;
          }
          episode.observations.push(answer.observation);
          episode.ids.push(...bridge);
          episode.logProbs.push(...bridge.map(() => 0));
        }),
      );
    }
  } finally {
    for (const { environment } of all) await environment.close?.();
  }
  const silent = all.findIndex(({ turns }) => turns.length === 0);
  if (silent >= 0)
    throw new TrainError(
      `multi-turn: the context holds ${maxTokens} tokens, an opening of ${all[silent]?.promptIds.length} and a turn of ${responseLength} do not fit; lower response_length`,
    );
  return all.map(({ promptIds, ids, logProbs, turns, observations, terminated }) => ({
    promptIds,
    ids,
    logProbs,
    turns,
    observations,
    reward: turns.reduce((sum, { reward }) => sum + reward, 0),
    terminated,
  }));
}
