/**
 * What a pair says of several objectives (helpful, harmless, honest, ...): in the columns `scores_chosen` and
 * `scores_rejected`, numbers by objective; or in `objective`, the one that its label is about, else the overall one.
 */
import type { Pair } from "./pair.ts";

/** The preference as a whole. */
export const overall = "overall";

/** For each objective 1 (the chosen one is better), -1 (the rejected one), or 0 (neither, or nothing is said). */
export function objectiveLabels({ row, tie }: Pair, objectives: readonly string[]): number[] {
  const scores = [row.scores_chosen, row.scores_rejected] as (Record<string, unknown> | undefined)[];
  const about = typeof row.objective === "string" ? row.objective : overall;
  return objectives.map((name) => {
    const [a, b] = scores.map((of) => Number(of?.[name] ?? Number.NaN)) as [number, number];
    if (!Number.isNaN(a - b)) return Math.sign(a - b);
    return name === about && !tie ? 1 : 0;
  });
}
