/** Scores of many rows, batch by batch. */
import type { RowList } from "../data/list.ts";
import type { OpenedReward, RewardInput, RewardParts } from "./reward.ts";

export interface ScoreRowsOptions {
  /** Rows that are scored together. Default: 32. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
  /** Told the rows that are done. */
  readonly onProgress?: (done: number) => void;
}

/** Scores in the order of the rows; of a sum or an ensemble with those of its parts. */
export async function scoreRows(
  { score, parts }: OpenedReward,
  rows: RowList<RewardInput>,
  { batchSize = 32, signal, onProgress }: ScoreRowsOptions = {},
): Promise<RewardParts> {
  const scores: number[] = [];
  const byPart: Record<string, number[]> = {};
  const disagreement: number[] = [];
  for (let from = 0; from < rows.length; from += batchSize) {
    signal?.throwIfAborted();
    const size = Math.min(batchSize, rows.length - from);
    const batch = Array.from({ length: size }, (_, i) => rows.at(from + i) as RewardInput);
    const found: RewardParts = parts ? await parts(batch) : { scores: await score(batch), parts: {} };
    scores.push(...found.scores);
    for (const [name, values] of Object.entries(found.parts)) {
      byPart[name] ??= [];
      byPart[name].push(...values);
    }
    disagreement.push(...(found.disagreement ?? []));
    onProgress?.(scores.length);
  }
  return { scores, parts: byPart, ...(disagreement.length > 0 && { disagreement }) };
}
