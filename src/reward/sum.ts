/** A weighted sum of rewards. Weights are taken as they are: they need not add up to 1, and may be negative. */
import { checked, type Reward, type RewardInput, type RewardParts } from "./reward.ts";

export interface WeightedReward {
  /** What the part is called in reports. */
  readonly name: string;
  readonly weight: number;
  readonly reward: Reward;
}

/** The scores of each part, and their weighted sum; an error names the part. */
export async function scoreParts(
  parts: readonly WeightedReward[],
  batch: readonly RewardInput[],
): Promise<RewardParts> {
  const scores = new Array<number>(batch.length).fill(0);
  const found: Record<string, readonly number[]> = {};
  for (const { name, weight, reward } of parts) {
    const values = await checked(reward, name)(batch);
    found[name] = values;
    for (const [i, value] of values.entries()) scores[i] = (scores[i] as number) + weight * value;
  }
  return { scores, parts: found };
}

/** The sum alone. */
export const weightedSum =
  (parts: readonly WeightedReward[]): Reward =>
  async (batch) =>
    (await scoreParts(parts, batch)).scores;

/** Names that tell the parts apart: what is there twice gets a number. */
export function uniqueNames(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name} (${count})`;
  });
}
