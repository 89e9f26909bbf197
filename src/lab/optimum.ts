/**
 * The best that any policy can do, on a problem that is small enough to write all of its responses down.
 *
 * For a reward r and a reference policy, the objective of RLHF and its maximum are
 *
 *     J(pi)     = mean over x of  E_pi[r(x, y)] - beta KL(pi(.|x) || pi_ref(.|x))
 *     pi*(y|x)  = pi_ref(y|x) exp(r(x, y) / beta) / Z(x)
 *     J* = J(pi*) = mean over x of  beta log E_ref[exp(r(x, y) / beta)]
 *
 * (Rafailov et al. 2023, eq. 4 and appendix A.1; Korbak et al. 2022). KL is in nats, summed over a response. Nothing is
 * sampled: every sum runs over all responses, so an optimiser's J(pi) can be held against J* to the last digit.
 */

import { tokenNll } from "../evaluate/index.ts";
import { AttuneError, type Engine } from "../graph/index.ts";
import type { Model } from "../models/load.ts";

/** Prompts with all responses that there are, and what each is worth. */
export interface EnumerableProblem {
  readonly prompts: readonly (readonly number[])[];
  /** Token ids; no response is the beginning of another, so that a policy's probabilities sum to 1. */
  readonly responses: readonly (readonly number[])[];
  /** r(x, y): `rewards[prompt][response]`. */
  readonly rewards: readonly Float64Array[];
}

/** log pi(y|x) in nats: `[prompt][response]`. */
export type LogPolicy = readonly Float64Array[];

/**
 * Every response over the ids 0 to vocabSize - 1: those that end with `eosTokenId` within `maxLength` tokens, and those
 * of `maxLength` tokens that do not.
 */
export function allResponses(
  vocabSize: number,
  { eosTokenId, maxLength }: { eosTokenId: number; maxLength: number },
): number[][] {
  const going: number[][][] = [[[]]];
  for (let length = 1; length <= maxLength; length++) {
    const longer = (going[length - 1] as number[][])
      .filter((ids) => ids.at(-1) !== eosTokenId)
      .flatMap((ids) => Array.from({ length: vocabSize }, (_, id) => [...ids, id]));
    going.push(longer);
  }
  return going
    .slice(1)
    .flatMap((list, i) => list.filter((ids) => ids.at(-1) === eosTokenId || i + 1 === maxLength));
}

/** log pi(y|x) of a model for every prompt and response, at temperature 1. */
export async function logPolicyOf(
  engine: Engine,
  model: Pick<Model, "config" | "parameters">,
  { prompts, responses }: Pick<EnumerableProblem, "prompts" | "responses">,
): Promise<LogPolicy> {
  const rows = prompts.flatMap((prompt) => responses.map((response) => [...prompt, ...response]));
  const found = await tokenNll(model, rows, { engine });
  return prompts.map((prompt, x) =>
    Float64Array.from(responses, (_, y) => {
      const { nll } = found[x * responses.length + y] as (typeof found)[number];
      return -nll.subarray(prompt.length - 1).reduce((sum, value) => sum + value, 0);
    }),
  );
}

/** log sum_i exp(values_i), without overflow. */
function logSumExp(values: Float64Array): number {
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

function requireBeta(beta: number): void {
  if (!(beta > 0))
    throw new AttuneError(`optimum: a beta above 0 is required, got ${beta}`, { wrongUsage: true });
}

/** pi* and its value J*; see the head of this file. */
export function optimalPolicy(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  reference: LogPolicy,
  beta: number,
): { policy: LogPolicy; value: number } {
  requireBeta(beta);
  const tilted = reference.map((logProbs, x) =>
    logProbs.map((logProb, y) => logProb + ((rewards[x] as Float64Array)[y] as number) / beta),
  );
  const logZ = tilted.map(logSumExp);
  return {
    policy: tilted.map((values, x) => values.map((value) => value - (logZ[x] as number))),
    value: beta * meanOf(logZ),
  };
}

/** What a policy makes of a problem. */
export interface PolicyValue {
  /** J = reward - beta kl. */
  readonly objective: number;
  /** E_pi[r], the mean over prompts. */
  readonly reward: number;
  /** KL(pi || pi_ref) in nats a response, the mean over prompts. */
  readonly kl: number;
}

/** J(pi) and its parts, exactly. */
export function valueOf(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  policy: LogPolicy,
  reference: LogPolicy,
  beta: number,
): PolicyValue {
  requireBeta(beta);
  const under = (x: number, f: (y: number, logProb: number) => number) =>
    (policy[x] as Float64Array).reduce((sum, logProb, y) => sum + Math.exp(logProb) * f(y, logProb), 0);
  const prompts = policy.map((_, x) => x);
  const reward = meanOf(prompts.map((x) => under(x, (y) => (rewards[x] as Float64Array)[y] as number)));
  const kl = meanOf(
    prompts.map((x) => under(x, (y, logProb) => logProb - ((reference[x] as Float64Array)[y] as number))),
  );
  return { objective: reward - beta * kl, reward, kl };
}

/** The rewards less their mean under the reference, prompt by prompt: then J(pi_ref) is 0, and J / J* does not depend on an offset. */
export const centred = (rewards: readonly Float64Array[], reference: LogPolicy): Float64Array[] =>
  rewards.map((row, x) => {
    const logProbs = reference[x] as Float64Array;
    const mean = row.reduce((sum, r, y) => sum + r * Math.exp(logProbs[y] as number), 0);
    return row.map((r) => r - mean);
  });
