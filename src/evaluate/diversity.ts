/** What texts are like without asking whether they are good: how varied, how repetitive, how long. */
import { nGrams } from "../reward/words.ts";
import { mean, quantile, standardDeviation } from "./bootstrap.ts";

/** A text, split into words at white space; or a row of token ids. */
export type Tokens = string | ArrayLike<number>;

/** Words, or ids as they are. */
export const unitsOf = (text: Tokens): readonly (string | number)[] =>
  typeof text === "string" ? text.split(/\s+/u).filter((word) => word !== "") : Array.from(text);

/**
 * distinct-n (Li et al. 2016): different n-grams of all texts together, over all of their n-grams; from 0 to 1, and 0
 * when there are none. It falls as there is more text, so compare equal amounts.
 */
export function distinctN(texts: readonly Tokens[], n: number): number {
  const seen = new Set<string>();
  let total = 0;
  for (const text of texts)
    for (const gram of nGrams(unitsOf(text), n)) {
      seen.add(gram);
      total++;
    }
  return total === 0 ? 0 : seen.size / total;
}

/** The share of a text's n-grams that stood in it before, averaged over texts; 0 of texts too short for any. */
export function repetition(texts: readonly Tokens[], n = 3): number {
  if (texts.length === 0) return 0;
  return mean(
    texts.map((text) => {
      const grams = nGrams(unitsOf(text), n);
      return grams.length === 0 ? 0 : 1 - new Set(grams).size / grams.length;
    }),
  );
}

export interface LengthStatistics {
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Lengths in tokens, or in words of texts. */
export function lengthStatistics(texts: readonly Tokens[]): LengthStatistics {
  const lengths = Float64Array.from(texts, (text) => unitsOf(text).length).sort();
  if (lengths.length === 0) return { mean: 0, std: 0, min: 0, median: 0, max: 0 };
  return {
    mean: mean(lengths),
    std: standardDeviation(lengths),
    min: lengths[0] as number,
    median: quantile(lengths, 0.5),
    max: lengths.at(-1) as number,
  };
}
