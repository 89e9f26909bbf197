/**
 * BLEU (Papineni et al. 2002) of a text against references, and self-BLEU (Zhu et al. 2018): the BLEU of each text
 * against all others, which is high where a model says the same thing again and again.
 *
 *     BLEU = BP exp(1/4 sum over n = 1..4 of log p_n)          BP = min(1, exp(1 - r / c))
 *
 * p_n: share of the text's n-grams that a reference has, each counted at most as often as in the reference that has it
 * most; c: words of the text, r: of the reference of the closest length, the shorter of two. A p_n without any match
 * counts as 0.1 matches (Chen and Cherry 2014, method 1), a text without a word in common is 0: as NLTK computes it.
 */
import { nGrams } from "../reward/words.ts";
import { mean } from "./bootstrap.ts";
import { type Tokens, unitsOf } from "./diversity.ts";

type Units = readonly (string | number)[];

const counted = (units: Units, n: number): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const gram of nGrams(units, n)) counts.set(gram, (counts.get(gram) ?? 0) + 1);
  return counts;
};

/** What the references know: how often one of them has an n-gram, and how long the closest is. */
interface References {
  most(gram: string, n: number): number;
  readonly lengths: readonly number[];
}

const epsilon = 0.1;

function bleuOf(units: Units, { most, lengths }: References, order: number): number {
  let logs = 0;
  for (let n = 1; n <= order; n++) {
    let matches = 0;
    for (const [gram, count] of counted(units, n)) matches += Math.min(count, most(gram, n));
    if (n === 1 && matches === 0) return 0;
    const total = Math.max(1, units.length - n + 1);
    logs += Math.log((matches === 0 ? epsilon : matches) / total) / order;
  }
  const c = units.length;
  const distance = (length: number) => Math.abs(length - c);
  const r = lengths.reduce((best, length) =>
    distance(length) < distance(best) || (distance(length) === distance(best) && length < best)
      ? length
      : best,
  );
  return Math.min(1, Math.exp(1 - r / c)) * Math.exp(logs);
}

/** BLEU of one text, from 0 to 1; words are what stands between white space. 0 without references. */
export function bleu(text: Tokens, references: readonly Tokens[], order = 4): number {
  if (references.length === 0) return 0;
  const all = references.map(unitsOf);
  const orders = Array.from({ length: order }, (_, k) => all.map((units) => counted(units, k + 1)));
  return bleuOf(
    unitsOf(text),
    {
      lengths: all.map((units) => units.length),
      most: (gram, n) => Math.max(...(orders[n - 1] ?? []).map((counts) => counts.get(gram) ?? 0)),
    },
    order,
  );
}

/**
 * The mean over texts of the BLEU against all others; 0 of fewer than two. Time grows with the number of words: each
 * n-gram keeps its two highest counts, so that a text may leave out its own.
 */
export function selfBleu(texts: readonly Tokens[], order = 4): number {
  if (texts.length < 2) return 0;
  const all = texts.map(unitsOf);
  interface Best {
    text: number;
    first: number;
    second: number;
  }
  const orders = Array.from({ length: order }, () => new Map<string, Best>());
  for (const [n, best] of orders.entries())
    for (const [text, units] of all.entries())
      for (const [gram, count] of counted(units, n + 1)) {
        const known = best.get(gram);
        if (!known) best.set(gram, { text, first: count, second: 0 });
        else if (count > known.first) best.set(gram, { text, first: count, second: known.first });
        else known.second = Math.max(known.second, count);
      }
  const lengths = all.map((units) => units.length);
  return mean(
    all.map((units, text) =>
      bleuOf(
        units,
        {
          lengths: lengths.filter((_, i) => i !== text),
          most(gram, n) {
            const known = orders[n - 1]?.get(gram) as Best;
            return known.text === text ? known.second : known.first;
          },
        },
        order,
      ),
    ),
  );
}
