/**
 * The protocol of pairwise judges: pairs of responses in, for each the probability that the first is the better one
 * out. A language model that is asked (in both orders), a reward, and the built-in world's gold scorer are all this.
 *
 *     1: the first is better    0: the second    0.5: a tie    undefined: the judge gave no answer that counts
 */
import { AttuneError } from "../../graph/errors.ts";
import type { OpenedReward, Reward, RewardInput } from "../reward.ts";
import { RewardError } from "../reward.ts";

/** Two responses to one prompt; beside them what a reward may read. */
export interface JudgePair extends Omit<RewardInput, "completion" | "completionIds" | "terminated"> {
  readonly first: string;
  readonly second: string;
}

/** P(first is better), or undefined where the judge gave no answer that counts. */
export type Preference = number | undefined;

/** Preferences of a batch of pairs, in its order. */
export type Judge = (
  pairs: readonly JudgePair[],
  options?: { readonly signal?: AbortSignal },
) => Promise<readonly Preference[]>;

/** What a judge did so far. */
export interface JudgeReport {
  /** Pairs that were judged. */
  readonly pairs: number;
  /** Questions that were asked: two for a pair that is asked in both orders, and those that were asked again. */
  readonly questions: number;
  /** Answers that were neither A nor B, those to questions that were asked again among them. */
  readonly unclear: number;
  /** Questions that were asked again since the answer was neither A nor B, each time counted. */
  readonly repeated: number;
  /** Pairs without an answer that counts; they have no preference. */
  readonly excluded: number;
  /** Pairs where the two orders gave opposite answers; they count as ties. */
  readonly inconsistent: number;
  /** Share of clear answers that named what stood first: 0.5 without position bias. */
  readonly first_share: number | undefined;
}

/** A judge ready to be used, and what it holds on to. */
export interface OpenedJudge {
  readonly name: string;
  /** Checked: one preference a pair, each between 0 and 1, or undefined. */
  readonly judge: Judge;
  report(): JudgeReport;
  dispose(): Promise<void>;
}

/** How many answers were none, and how many of them were asked for again: `3 of 8 answers were neither A nor B, ...`. */
export function describeAnswers({ questions, unclear, repeated }: JudgeReport): string {
  const again = repeated === 0 ? "none was" : repeated === 1 ? "1 was" : `${repeated} were`;
  const none = `${unclear} of ${questions} answers were neither A nor B`;
  return unclear === 0 ? none : `${none}, ${again} asked for again`;
}

/** The judge, held to the protocol. */
export function checkedJudge(judge: Judge, name: string): Judge {
  return async (pairs, options) => {
    if (pairs.length === 0) return [];
    let found: readonly Preference[];
    try {
      found = await judge(pairs, options);
    } catch (error) {
      if (error instanceof AttuneError || (error instanceof Error && error.name === "AbortError"))
        throw error;
      throw new RewardError(
        `judge ${name}: threw on ${pairs.length} pairs: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
    if (!Array.isArray(found) || found.length !== pairs.length)
      throw new RewardError(
        `judge ${name}: one preference for each of ${pairs.length} pairs is required, got ${Array.isArray(found) ? found.length : typeof found}`,
      );
    for (const [i, value] of found.entries())
      if (value !== undefined && !(typeof value === "number" && value >= 0 && value <= 1))
        throw new RewardError(
          `judge ${name}: a probability from 0 to 1 is required, got ${String(value)} for pair ${i + 1}`,
        );
    return found;
  };
}

/** How a reward's scores become a preference. */
export interface RewardJudgeOptions {
  /** "hard": 1, 0, or 0.5 for equal scores; "bradley_terry": sigmoid(r_first - r_second). Default "hard". */
  readonly preference?: "hard" | "bradley_terry";
}

/** A reward as a judge: what has the higher score is preferred. */
export const judgeOf =
  (reward: Reward, { preference = "hard" }: RewardJudgeOptions = {}): Judge =>
  async (pairs) => {
    const inputs = pairs.flatMap(({ first, second, ...rest }) =>
      [first, second].map((completion): RewardInput => ({ ...rest, completion })),
    );
    const scores = await reward(inputs);
    return pairs.map((_, i) => {
      const lead = (scores[2 * i] as number) - (scores[2 * i + 1] as number);
      return preference === "hard" ? 0.5 + 0.5 * Math.sign(lead) : 1 / (1 + Math.exp(-lead));
    });
  };

/** An opened reward as an opened judge, which closes the reward. */
export function rewardJudge(reward: OpenedReward, options: RewardJudgeOptions = {}): OpenedJudge {
  let count = 0;
  const judge = checkedJudge(judgeOf(reward.score, options), reward.name);
  return {
    name: reward.name,
    judge: async (pairs, rest) => {
      const found = await judge(pairs, rest);
      count += pairs.length;
      return found;
    },
    report: () => ({
      pairs: count,
      questions: 0,
      unclear: 0,
      repeated: 0,
      excluded: 0,
      inconsistent: 0,
      first_share: undefined,
    }),
    dispose: () => reward.dispose(),
  };
}
