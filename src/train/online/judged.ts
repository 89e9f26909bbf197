/**
 * Which of two responses is better: what a pairwise judge says, or a reward whose scores are compared.
 *
 *     1: the first    0: the second    0.5: a tie    undefined: the judge gave no answer that counts
 */
import { checkedJudge, type Judge, type JudgePair, type Preference } from "../../reward/judge/judge.ts";
import { TrainError } from "../errors.ts";
import { type IterationOptions, iterationDefaults } from "../policy/iterations.ts";
import type { Scored } from "./groups.ts";

export interface JudgedOptions extends Omit<IterationOptions, "reward"> {
  /** What scores responses. Or give a judge. */
  readonly reward?: IterationOptions["reward"] | undefined;
  /** What compares two responses, in place of a reward. */
  readonly judge?: Judge | undefined;
  /** The pull towards the reference. */
  readonly beta?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const judgedDefaults = {
  ...iterationDefaults,
  learningRate: 5e-7,
  beta: 0.1,
} as const satisfies Partial<JudgedOptions>;

/** @throws TrainError unless there is a reward or a judge, and not both */
export function checkJudged(name: string, { reward, judge }: { reward?: unknown; judge?: unknown }): void {
  if ((reward === undefined) === (judge === undefined))
    throw new TrainError(
      `${name}: a reward or a judge is required, got ${reward === undefined ? "neither" : "both"}`,
    );
}

/** P(first is better) for each pair; of a reward sigmoid(r_first - r_second), which is Bradley-Terry's model. */
export async function preferencesOf(
  judge: Judge | undefined,
  first: Scored,
  second: Scored,
): Promise<readonly Preference[]> {
  if (!judge) return first.scores.map((score, i) => sigmoid(score - (second.scores[i] as number)));
  const pairs = first.prompts.map(
    ({ text, messages, row }, i): JudgePair => ({
      prompt: text,
      first: first.responses[i]?.text ?? "",
      second: second.responses[i]?.text ?? "",
      ...(messages && { messages }),
      row,
    }),
  );
  return checkedJudge(judge, "of the pairs")(pairs);
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
