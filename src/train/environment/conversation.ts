/**
 * A conversation of at most five turns with a caller whose requests lack something: an environment whose rewards are
 * rules that can be read.
 *
 * The caller makes one request after another. The assistant has to ask for what is missing, that is, to say one of the
 * request's words; the caller then answers and makes the next one, or else makes the same one again. A turn earns
 *
 *     1 / requests    when it asks for what is missing       the last one ends the conversation
 *     - cost          always                                 - repeat  when the assistant has said it before
 *
 * and what a rule of `attune/reward` gives for it, with `turn_reward`.
 */
import { createDraw } from "../../data/world/draw.ts";
import { permutation } from "../../graph/random.ts";
import type { Reward } from "../../reward/reward.ts";
import { countPhrases, wordsOf } from "../../reward/words.ts";
import { TrainError } from "../errors.ts";
import type { Environment, MakeEnvironment } from "./environment.ts";

/** A request with something missing. */
export interface CallerRequest {
  /** How the caller makes it, one of these. */
  readonly say: readonly string[];
  /** One of these words or phrases in a turn asks for what is missing. */
  readonly ask: readonly string[];
  /** What the caller then says, one of these. */
  readonly answer: readonly string[];
}

export interface ConversationOptions {
  readonly requests?: readonly CallerRequest[];
  /** Requests of one call. */
  readonly requestsPerCall?: number;
  /** Turns of the assistant, at most. */
  readonly maxTurns?: number;
  /** Taken off for every turn. */
  readonly cost?: number;
  /** Taken off for a turn that was said before. */
  readonly repeat?: number;
  /** What else a turn earns: a reward over {prompt: what the caller said last, completion: the turn}. */
  readonly turnReward?: Reward;
}

/** Requests to somebody in the built-in world's town; a row each. */
export const callerRequests: readonly CallerRequest[] = [
  {
    say: ["Deliver the basket.", "Please deliver the lamp.", "Can you deliver the book?"],
    ask: ["where"],
    answer: ["To the barn.", "To the tower."],
  },
  { say: ["Wake Orla up.", "Please wake Bram up."], ask: ["when"], answer: ["At six.", "At noon."] },
  {
    say: ["Order candles from Bram.", "Please order roses from Orla."],
    ask: ["how many"],
    answer: ["Ten.", "Five."],
  },
  { say: ["Paint the chair.", "Can you paint the boat?"], ask: ["which colour"], answer: ["Red.", "Green."] },
  { say: ["Give him the map.", "Please bring the basket to her."], ask: ["who"], answer: ["Bram.", "Orla."] },
];

export const conversationDefaults = { requestsPerCall: 2, maxTurns: 5, cost: 0.05, repeat: 0.2 } as const;

/**
 * Makes conversations.
 *
 * @throws TrainError for figures that cannot be meant, and for more than five turns
 */
export function conversation(options: ConversationOptions = {}): MakeEnvironment {
  const o = { ...conversationDefaults, requests: callerRequests, ...options };
  const { maxTurns, cost, repeat, requests, requestsPerCall, turnReward } = o;
  if (!Number.isInteger(maxTurns) || maxTurns < 1 || maxTurns > 5)
    throw new TrainError(`conversation: 1 to 5 turns are required, got ${maxTurns}`);
  if (!Number.isInteger(requestsPerCall) || requestsPerCall < 1 || requestsPerCall > requests.length)
    throw new TrainError(
      `conversation: 1 to ${requests.length} requests a call are required, got ${requestsPerCall}`,
    );
  return (): Environment => {
    let draw = createDraw(0, 0, 0);
    let left: CallerRequest[] = [];
    let said = new Set<string>();
    let [turn, last] = [0, ""];
    return {
      reset({ seed }) {
        draw = createDraw(seed, 0, 0);
        const order = permutation(requests.length, seed, 1).subarray(0, requestsPerCall);
        left = Array.from(order, (i) => requests[i] as CallerRequest);
        said = new Set();
        turn = 0;
        last = draw.pick((left[0] as CallerRequest).say);
        return { observation: last };
      },
      async step(action) {
        turn++;
        const [request] = left;
        if (!request) throw new TrainError("conversation: the call has ended; reset begins another one");
        const isAsked = countPhrases(action, request.ask).some((count) => count > 0);
        if (isAsked) left.shift();
        const words = wordsOf(action).join(" ");
        const [extra = 0] = turnReward ? await turnReward([{ prompt: last, completion: action }]) : [];
        const earned = (isAsked ? 1 / requestsPerCall : 0) - cost - (said.has(words) ? repeat : 0);
        said.add(words);
        const next = left[0] && draw.pick(left[0].say);
        last = [isAsked ? draw.pick(request.answer) : undefined, next].filter(Boolean).join(" ");
        const terminated = left.length === 0;
        return {
          observation: last,
          reward: earned + extra,
          terminated,
          truncated: !terminated && turn >= maxTurns,
          info: { left: left.length },
        };
      },
    };
  };
}
