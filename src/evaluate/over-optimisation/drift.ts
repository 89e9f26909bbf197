/**
 * What changes in responses while a policy is optimised, whatever they are worth: how long they are, how much they
 * repeat themselves, how varied they are, how sure the policy is, and whether different prompts get the same answer.
 */
import { mean, standardDeviation } from "../bootstrap.ts";
import { distinctN, repetition } from "../diversity.ts";

/** One response; entropy and end are left out where nobody knows them. */
export interface DriftInput {
  readonly prompt: string;
  readonly completion: string;
  readonly tokens: number;
  /** Mean of -log pi of its tokens, in nats. */
  readonly surprisal?: number;
  readonly terminated?: boolean;
}

/** JSON, in the names of the report. */
export interface Drift {
  /** Tokens. */
  readonly length: number;
  readonly length_std: number;
  /** Share of a response's word trigrams that stood in it before. */
  readonly repetition: number;
  readonly distinct_1: number;
  readonly distinct_2: number;
  /** Nats a token, from the sampled tokens. */
  readonly entropy?: number;
  /** Share of responses that some other prompt got too. */
  readonly duplicates: number;
  readonly terminated?: number;
}

/** Each of them, a phrase for tables and charts. */
export const driftSignals = {
  length: "length in tokens",
  repetition: "repeated trigrams",
  distinct_1: "distinct-1",
  distinct_2: "distinct-2",
  entropy: "entropy, nats a token",
  duplicates: "same response to another prompt",
} as const satisfies Partial<Record<keyof Drift, string>>;

export type DriftSignal = keyof typeof driftSignals;

/** distinct-n falls as there is more text: compare drift over equal numbers of responses. */
export function driftOf(rows: readonly DriftInput[]): Drift {
  const texts = rows.map(({ completion }) => completion);
  const lengths = rows.map(({ tokens }) => tokens);
  const surprisals = rows.flatMap(({ surprisal }) => (surprisal === undefined ? [] : [surprisal]));
  const ends = rows.flatMap(({ terminated }) => (terminated === undefined ? [] : [terminated ? 1 : 0]));
  return {
    length: mean(lengths),
    length_std: standardDeviation(lengths),
    repetition: repetition(texts, 3),
    distinct_1: distinctN(texts, 1),
    distinct_2: distinctN(texts, 2),
    ...(surprisals.length > 0 && { entropy: mean(surprisals) }),
    duplicates: duplicateShare(rows),
    ...(ends.length > 0 && { terminated: mean(ends) }),
  };
}

/** The share of responses whose text, blanks at its ends aside, is also the response to another prompt. */
export function duplicateShare(rows: readonly Pick<DriftInput, "prompt" | "completion">[]): number {
  if (rows.length === 0) return 0;
  const prompts = new Map<string, Set<string>>();
  for (const { prompt, completion } of rows) {
    const text = completion.trim();
    prompts.set(text, (prompts.get(text) ?? new Set()).add(prompt));
  }
  return mean(rows.map(({ completion }) => ((prompts.get(completion.trim())?.size ?? 0) > 1 ? 1 : 0)));
}
