/**
 * ROUGE (Lin 2004): how much a text has in common with a reference. F1 of n-grams in common (ROUGE-N, each counted as
 * often as both have it), and of the longest common subsequence of words (ROUGE-L).
 *
 *     F1 = 2 P R / (P + R)        P = common / of the text        R = common / of the reference
 *
 * For ASCII texts words and values are those of Google's `rouge_score` without stemming: lower case, split at
 * everything that is no letter and no digit.
 */
import { nGrams } from "./words.ts";

/** F1, from 0 to 1; 0 when one of the texts has nothing to compare. */
const f1 = (common: number, ofText: number, ofReference: number): number =>
  common === 0 ? 0 : (2 * common) / (ofText + ofReference);

const tokens = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];

function rougeN(text: string, reference: string, n: number): number {
  const [a, b] = [nGrams(tokens(text), n), nGrams(tokens(reference), n)];
  const left = new Map<string, number>();
  for (const gram of b) left.set(gram, (left.get(gram) ?? 0) + 1);
  let common = 0;
  for (const gram of a) {
    const remaining = left.get(gram) ?? 0;
    if (remaining > 0) common++;
    left.set(gram, remaining - 1);
  }
  return f1(common, a.length, b.length);
}

function rougeL(text: string, reference: string): number {
  const [a, b] = [tokens(text), tokens(reference)];
  return f1(commonSubsequence(a, b), a.length, b.length);
}

/** Length of the longest common subsequence, by rows of the table. */
function commonSubsequence(a: readonly string[], b: readonly string[]): number {
  let row = new Uint32Array(b.length + 1);
  for (const word of a) {
    const next = new Uint32Array(b.length + 1);
    for (const [j, other] of b.entries())
      next[j + 1] =
        word === other ? (row[j] as number) + 1 : Math.max(next[j] as number, row[j + 1] as number);
    row = next;
  }
  return row[b.length] as number;
}

/** By the names that `rouge_score` gives them. */
export const rougeVariants = {
  rouge1: (text, reference) => rougeN(text, reference, 1),
  rouge2: (text, reference) => rougeN(text, reference, 2),
  rougeL,
} satisfies Record<string, (text: string, reference: string) => number>;

export type RougeVariant = keyof typeof rougeVariants;

/** ROUGE of a text against a reference. */
export const rouge = (text: string, reference: string, variant: RougeVariant = "rougeL"): number =>
  rougeVariants[variant](text, reference);
