/** Texts as words, sentences and n-grams, for rules and measures that read texts. */

/** Runs of letters, digits and marks, in lower case; an apostrophe inside of a word belongs to it. */
export const wordsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replaceAll("’", "'")
    .match(/[\p{L}\p{N}\p{M}]+(?:'[\p{L}\p{N}\p{M}]+)*/gu) ?? [];

/** Sentences with the marks and quotes that end them; the rest of a text without one is a sentence too. */
export const sentencesOf = (text: string): string[] =>
  (text.match(/[^.!?…。！？\n]+[.!?…。！？]*["'”’»)]*/gu) ?? [])
    .map((sentence) => sentence.trim())
    .filter((s) => /[\p{L}\p{N}]/u.test(s));

/** Runs of n neighbours, as strings that are equal when the runs are. */
export const nGrams = (units: readonly (string | number)[], n: number): string[] =>
  Array.from({ length: Math.max(0, units.length - n + 1) }, (_, i) => units.slice(i, i + n).join("\u0000"));

/** How often words or phrases stand in a text, as whole words, whatever their case, and without overlap. */
export function countPhrases(text: string, phrases: readonly string[]): number[] {
  const padded = ` ${wordsOf(text).join(" ")} `;
  return phrases.map((phrase) => {
    const words = wordsOf(phrase);
    if (words.length === 0) return 0;
    const wanted = ` ${words.join(" ")} `;
    let count = 0;
    // Neighbouring occurrences share the space between them.
    for (let at = padded.indexOf(wanted); at >= 0; at = padded.indexOf(wanted, at + wanted.length - 1))
      count++;
    return count;
  });
}

/** Words that carry no topic of their own. */
const functionWords = new Set(
  wordsOf(`a about after all also am an and any are as at be been before being but by can could did do does doing for
    from had has have having he her here him his how i if in into is it its just me more most my no not of off on once
    only or other our out over own please she should so some such than that the their them then there these they this
    those through to too under until up us very was we were what when where which while who whom why will with would
    you your i'm it's don't can't let's tell give explain describe write`),
);

/** The different words of a text that have a topic. */
export const topicWords = (text: string): Set<string> =>
  new Set(wordsOf(text).filter((word) => !functionWords.has(word)));
