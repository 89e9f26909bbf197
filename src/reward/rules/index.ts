/** The table of rules by name, and how a rule becomes a reward. */
import { didYouMean } from "../../graph/nearest.ts";
import { parseOptions } from "../parse-options.ts";
import { type Reward, RewardError } from "../reward.ts";
import { flawedRules } from "./flawed.ts";
import { formRules } from "./form.ts";
import { mannerRules } from "./manner.ts";
import type { Rule } from "./rule.ts";
import { verifiableRules } from "./verifiable.ts";

/** Every rule; a new one is a row of verifiable.ts, form.ts, manner.ts or flawed.ts. */
export const rules: Readonly<Record<string, Rule>> = {
  ...verifiableRules,
  ...formRules,
  ...mannerRules,
  ...flawedRules,
};

export const isRule = (name: string): boolean => Object.hasOwn(rules, name);

/**
 * The reward that a rule gives.
 *
 * @param options by the names of the rule's own; text as on the command line will do
 * @throws RewardError for an unknown rule or option, naming the nearest one
 */
export function ruleReward(name: string, options: Readonly<Record<string, unknown>> = {}): Reward {
  const row = isRule(name) ? rules[name] : undefined;
  if (!row)
    throw new RewardError(`rule ${name}: there is no such rule${didYouMean(name, Object.keys(rules))}`, {
      wrongUsage: true,
    });
  const parsed = parseOptions(`rule ${name}`, row.options, options);
  return (batch) => batch.map((input) => row.score(input, parsed));
}
