/** Whether what a recipe says of its rewards can be meant, before anything runs: its form, its rules and their options. */

import { RewardError } from "../reward/reward.ts";
import { ruleReward } from "../reward/rules/index.ts";
import { type ParsedReward, parseReward } from "../reward/spec.ts";
import { RecipeError } from "./errors.ts";

/**
 * Files, folders and servers are looked for when the reward is opened: an earlier stage may make them.
 *
 * @throws RecipeError that names the key and what is wrong
 */
export function checkReward(specification: unknown, where: string): void {
  try {
    checkRules(parseReward(specification));
  } catch (error) {
    if (!(error instanceof RewardError)) throw error;
    throw new RecipeError(`${where}: ${error.message}`, { cause: error });
  }
}

function checkRules(parsed: ParsedReward): void {
  if (parsed.kind === "rule") ruleReward(parsed.rule, parsed.options);
  if (parsed.kind === "ensemble") parsed.members.forEach(checkRules);
  if (parsed.kind === "sum") for (const { reward } of parsed.parts) checkRules(reward);
}
