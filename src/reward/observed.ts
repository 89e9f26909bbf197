/** A reward that somebody watches: every batch that goes through it is told, with what was found. */
import { checkScores, type OpenedReward, type RewardInput, type RewardParts } from "./reward.ts";

type See = (batch: readonly RewardInput[], found: RewardParts) => void | Promise<void>;

/** The same reward; `see` hears of each batch once, whether its scores or its parts were asked for. */
export function observed(reward: OpenedReward, see: See): OpenedReward {
  const { name, score, parts } = reward;
  const ask = async (batch: readonly RewardInput[]): Promise<RewardParts> => {
    const found: RewardParts = parts ? await parts(batch) : { scores: await score(batch), parts: {} };
    if (parts) checkScores(found.scores, batch, name);
    await see(batch, found);
    return found;
  };
  return { ...reward, score: async (batch) => (await ask(batch)).scores, ...(parts && { parts: ask }) };
}

/**
 * What the parts of a reward gave since it was last asked, under TRL's names: `rewards/NAME/mean` and `rewards/NAME/std`
 * (unbiased) of a sum's parts, before their weights, and of an ensemble's members.
 */
export function partFigures(): { see: See; take(): Record<string, number> } {
  let seen: Record<string, number[]> = {};
  return {
    see(_, { parts }) {
      for (const [name, scores] of Object.entries(parts)) {
        seen[name] ??= [];
        seen[name].push(...scores);
      }
    },
    take() {
      const figures = Object.entries(seen).flatMap(([name, scores]) => {
        const mean = scores.reduce((a, b) => a + b, 0) / scores.length;
        const squares = scores.reduce((sum, x) => sum + (x - mean) ** 2, 0);
        return scores.length === 0
          ? []
          : [
              [`rewards/${name}/mean`, mean] as const,
              [`rewards/${name}/std`, Math.sqrt(squares / Math.max(1, scores.length - 1))] as const,
            ];
      });
      seen = {};
      return Object.fromEntries(figures);
    },
  };
}
