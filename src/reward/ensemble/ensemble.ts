/**
 * An ensemble as one reward. Members are any rewards: reward models that differ by the seed of their head and the order
 * of their data, as a rule; or the heads of one model, which share its backbone (heads-reward.ts).
 */
import { checked, type OpenedReward, type Reward, RewardError, type RewardInput } from "../reward.ts";
import { uniqueNames } from "../sum.ts";
import { type CombineOptions, checkCombination, combined } from "./combine.ts";

export interface EnsembleOptions extends CombineOptions {
  /** For messages and reports. Default: the combination and the members' names. */
  readonly name?: string;
}

/** An ensemble tells of each response how far its members are apart. */
export type EnsembleReward = OpenedReward & Required<Pick<OpenedReward, "parts">>;

/**
 * The members as one reward, which closes them. `parts` gives each member's scores and the disagreement.
 *
 * @throws RewardError for fewer than two members
 * @example
 * const careful = ensemble([first, second, third], { combine: "uwo", lambda: 0.5 });
 */
export function ensemble(
  members: readonly (OpenedReward | Reward)[],
  options: EnsembleOptions = {},
): EnsembleReward {
  checkCombination(options);
  if (members.length < 2)
    throw new RewardError(`ensemble: at least two members are required, got ${members.length}`, {
      wrongUsage: true,
    });
  const opened = members.map((member) =>
    typeof member === "function" ? { name: member.name || "member", score: member } : member,
  );
  const names = uniqueNames(opened.map(({ name }) => name));
  return ensembleOf(
    names,
    async (batch) => {
      const scores: (readonly number[])[] = [];
      for (const [i, { score }] of opened.entries())
        scores.push(await checked(score, names[i] as string)(batch));
      return scores;
    },
    {
      ...options,
      dispose: async () => {
        for (const member of opened) if ("dispose" in member) await member.dispose();
      },
    },
  );
}

/** The same of members that are scored together: `scoresOf` gives each member's scores of a batch. */
export function ensembleOf(
  names: readonly string[],
  scoresOf: (batch: readonly RewardInput[]) => Promise<readonly (readonly number[])[]>,
  { dispose, name, ...combination }: EnsembleOptions & { readonly dispose: () => Promise<void> },
): EnsembleReward {
  const parts = async (batch: readonly RewardInput[]) => {
    const members = batch.length === 0 ? names.map(() => []) : await scoresOf(batch);
    const { scores, disagreement } = combined(members, combination);
    return {
      scores,
      parts: Object.fromEntries(names.map((member, i) => [member, members[i] as readonly number[]])),
      disagreement,
    };
  };
  const title = name ?? `${combination.combine ?? "mean"} of ${names.length} members`;
  return { name: title, score: checked(async (batch) => (await parts(batch)).scores, title), parts, dispose };
}
