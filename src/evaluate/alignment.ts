/**
 * How well one reward stands for another: a proxy beside gold or beside people, over the same responses.
 *
 * Correlations over all responses mix two things: which prompts score high, and which response to a prompt does. An
 * optimiser sees only the second, so the agreement within prompts is what tells whether it is led well.
 */
import { AttuneError } from "../graph/errors.ts";
import { type BootstrapOptions, bootstrapRows, type Interval } from "./bootstrap.ts";
import { kendall, pearson, spearman } from "./correlation.ts";

export interface RewardAlignment {
  readonly pearson: Interval;
  readonly spearman: Interval;
  /** tau-b. */
  readonly kendall: number;
  /** Of the pairs of responses to one prompt that gold tells apart, the share that the proxy orders alike. */
  readonly agreement?: number;
  /** Those pairs. */
  readonly pairs?: number;
  readonly n: number;
}

/**
 * Rank correlation and agreement of a proxy with gold.
 *
 * @param prompts what each response answers; without it no agreement is given
 * @throws AttuneError when the lists are of different lengths
 */
export function rewardAlignment(
  proxy: ArrayLike<number>,
  gold: ArrayLike<number>,
  { prompts, ...options }: BootstrapOptions & { readonly prompts?: readonly string[] } = {},
): RewardAlignment {
  if (proxy.length !== gold.length || (prompts && prompts.length !== gold.length))
    throw new AttuneError(
      `rewardAlignment: scores of the same responses are required, got ${proxy.length} and ${gold.length}${prompts ? ` for ${prompts.length} prompts` : ""}`,
    );
  const rows = Array.from(proxy, (value, i) => [value, gold[i] as number]);
  const interval = (statistic: (x: Float64Array, y: Float64Array) => number) =>
    bootstrapRows(rows, ([x, y]) => statistic(x as Float64Array, y as Float64Array), options);
  return {
    pearson: interval(pearson),
    spearman: interval(spearman),
    kendall: kendall(proxy, gold),
    ...(prompts && agreementWithin(proxy, gold, prompts)),
    n: rows.length,
  };
}

function agreementWithin(proxy: ArrayLike<number>, gold: ArrayLike<number>, prompts: readonly string[]) {
  const groups = new Map<string, number[]>();
  for (const [i, prompt] of prompts.entries()) groups.set(prompt, [...(groups.get(prompt) ?? []), i]);
  let [agreed, pairs] = [0, 0];
  for (const members of groups.values())
    for (const [k, i] of members.entries())
      for (const j of members.slice(k + 1)) {
        const truth = Math.sign((gold[i] as number) - (gold[j] as number));
        if (truth === 0) continue;
        agreed += 0.5 + 0.5 * truth * Math.sign((proxy[i] as number) - (proxy[j] as number));
        pairs++;
      }
  return { agreement: agreed / pairs, pairs };
}
