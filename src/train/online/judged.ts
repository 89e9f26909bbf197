/**
 * Which of two responses is better: what a pairwise judge says, or a reward whose scores are compared.
 *
 *     1: the first    0: the second    0.5: a tie    undefined: the judge gave no answer that counts
 */
import type { Message } from "../../data/rows.ts";
import { RewardError } from "../../reward/reward.ts";
import { TrainError } from "../errors.ts";
import type { Scored } from "./groups.ts";

/** Two responses to one prompt, as a judge gets them. */
export interface JudgedPair {
  readonly prompt: string;
  readonly first: string;
  readonly second: string;
  readonly messages?: readonly Message[];
  readonly row?: Readonly<Record<string, unknown>>;
}

/** For each pair the probability that the first is the better one; undefined where it cannot tell. */
export type PairJudge = (pairs: readonly JudgedPair[]) => Promise<readonly (number | undefined)[]>;

/** @throws TrainError unless there is a reward or a judge, and not both */
export function checkJudged(name: string, { reward, judge }: { reward?: unknown; judge?: unknown }): void {
  if ((reward === undefined) === (judge === undefined))
    throw new TrainError(
      `${name}: a reward or a judge is required, got ${reward === undefined ? "neither" : "both"}`,
    );
}

/** P(first is better) for each pair; of a reward sigmoid(r_first - r_second), which is Bradley-Terry's model. */
export async function preferencesOf(
  judge: PairJudge | undefined,
  first: Scored,
  second: Scored,
): Promise<(number | undefined)[]> {
  if (!judge) return first.scores.map((score, i) => sigmoid(score - (second.scores[i] as number)));
  const pairs = first.prompts.map(
    ({ text, messages, row }, i): JudgedPair => ({
      prompt: text,
      first: first.responses[i]?.text ?? "",
      second: second.responses[i]?.text ?? "",
      ...(messages && { messages }),
      row,
    }),
  );
  const found = await judge(pairs);
  if (found.length !== pairs.length)
    throw new RewardError(
      `judge: one preference for each of ${pairs.length} pairs is required, got ${found.length}`,
    );
  for (const [i, p] of found.entries())
    if (p !== undefined && !(p >= 0 && p <= 1))
      throw new RewardError(`judge: a probability from 0 to 1 is required, got ${p} for pair ${i + 1}`);
  return [...found];
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
