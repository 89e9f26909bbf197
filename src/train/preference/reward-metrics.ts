/** What all methods on pairs report of them, under TRL's names. */
import { cast, greater, sub, type Tensor } from "../../graph/index.ts";
import type { Sides } from "./preference-losses.ts";

/** `mean` is that over the pairs of the whole step, of [B]. */
export const rewardMetrics = (
  rewards: Sides,
  logps: Sides,
  mean: (x: Tensor) => Tensor,
): Record<string, Tensor> => ({
  "rewards/chosen": mean(rewards.chosen),
  "rewards/rejected": mean(rewards.rejected),
  "rewards/margins": mean(sub(rewards.chosen, rewards.rejected)),
  "rewards/accuracies": mean(cast(greater(rewards.chosen, rewards.rejected), rewards.chosen.dtype)),
  "logps/chosen": mean(logps.chosen),
  "logps/rejected": mean(logps.rejected),
});
