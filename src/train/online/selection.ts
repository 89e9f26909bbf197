/**
 * Which of a policy's own responses are worth learning from.
 *
 *     top_k        the k best of each group (RAFT, Dong et al. 2023: k = 1)
 *     threshold    those that score at least so much (STaR, Zelikman et al. 2022; ReST-EM, Singh et al. 2023)
 *     rejection    each with probability exp((r - max r) / beta), max over its group (RSO, Liu et al. 2023, algorithm 1):
 *                  what is kept of the reference's samples is drawn from pi* ~ pi_ref exp(r / beta)
 *
 * In a group whose scores are all equal there is nothing to choose by: `top_k` skips it, and it is counted.
 */
import { uniform } from "../../graph/random.ts";
import { TrainError } from "../errors.ts";

export interface Selection {
  /** `top_k` by default. */
  readonly selection?: "top_k" | "threshold" | "rejection" | undefined;
  /** Of `top_k`: responses that are kept of each group. */
  readonly topK?: number | undefined;
  /** Of `threshold`: the score that a response needs. */
  readonly threshold?: number | undefined;
  /** Of `rejection`: the weight of the KL in what is aimed at. */
  readonly beta?: number | undefined;
}

export const selectionDefaults = { selection: "top_k", topK: 1, threshold: 1, beta: 0.1 } as const;
export const selections = ["top_k", "threshold", "rejection"] as const;

type Settings = { readonly [K in keyof Selection]-?: NonNullable<Selection[K]> };

/** @throws TrainError for figures that cannot be meant */
export function checkSelection({ selection, topK, beta, threshold }: Settings, numGenerations: number): void {
  if (!selections.includes(selection))
    throw new TrainError(`selection: ${selections.join(", ")} is required, got ${selection}`);
  if (!Number.isInteger(numGenerations) || numGenerations < 1)
    throw new TrainError(`num_generations: a whole number of at least 1 is required, got ${numGenerations}`);
  if (selection !== "threshold" && numGenerations < 2)
    throw new TrainError(
      `num_generations: ${selection} chooses within the responses to a prompt, so at least 2 are required, got ${numGenerations}`,
    );
  if (selection === "top_k" && !(Number.isInteger(topK) && topK >= 1 && topK < numGenerations))
    throw new TrainError(
      `top_k: a whole number from 1 to ${numGenerations - 1} is required (num_generations - 1), got ${topK}`,
    );
  if (selection === "rejection" && !(beta > 0))
    throw new TrainError(`beta: rejection divides by it, so above 0 is required, got ${beta}`);
  if (!Number.isFinite(threshold)) throw new TrainError(`threshold: a number is required, got ${threshold}`);
}

/** The numbers of the responses that are kept, in their order, and of how many groups the scores were all equal. */
export function selectResponses(
  scores: readonly number[],
  size: number,
  { selection, topK, threshold, beta }: Settings,
  seed: number,
): { kept: number[]; equalGroups: number } {
  const at = (i: number) => scores[i] as number;
  let equalGroups = 0;
  const kept = indicesByGroup(scores.length, size).flatMap((group) => {
    const best = Math.max(...group.map(at));
    const isEqual = group.every((i) => at(i) === best);
    if (isEqual && group.length > 1) equalGroups++;
    if (selection === "threshold") return group.filter((i) => at(i) >= threshold);
    if (selection === "rejection")
      return group.filter((i) => uniform(seed, i) < Math.exp((at(i) - best) / beta));
    if (isEqual) return [];
    // The earlier one of two that score alike.
    return [...group]
      .sort((a, b) => at(b) - at(a) || a - b)
      .slice(0, topK)
      .sort((a, b) => a - b);
  });
  return { kept, equalGroups };
}

/** The numbers of the responses to each prompt. */
const indicesByGroup = (count: number, size: number): number[][] =>
  Array.from({ length: count / size }, (_, g) => Array.from({ length: size }, (_, i) => g * size + i));
