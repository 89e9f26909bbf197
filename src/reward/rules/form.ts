/** Rules about the form of a response: length, words that stand in it, repetition, plainness. */
import { z } from "zod";
import { RewardError } from "../reward.ts";
import { type RougeVariant, rouge, rougeVariants } from "../rouge.ts";
import { countPhrases, nGrams, sentencesOf, wordsOf } from "../words.ts";
import { number, phrases, type Rule, rule } from "./rule.ts";

const units = {
  words: ({ completion }) => wordsOf(completion).length,
  characters: ({ completion }) => [...completion].length,
  tokens: ({ completionIds }) => {
    if (!completionIds)
      throw new RewardError("rule length_band: unit=tokens needs token ids; use words or characters");
    return completionIds.length;
  },
} satisfies Record<string, (input: Parameters<Rule["score"]>[0]) => number>;

/** Vowels in a row are a syllable, but for an e at the end: good enough for English averages. */
function syllablesOf(word: string): number {
  const groups = word.replace(/e$/u, "").match(/[aeiouy]+/gu)?.length ?? 0;
  return Math.max(1, groups);
}

export const formRules = {
  length_band: rule({
    description: "length within a band: 1 inside, and in proportion less the further outside",
    range: "0 to 1",
    options: z
      .strictObject({
        min: number().default(0),
        max: number().optional(),
        unit: z.enum(Object.keys(units) as [keyof typeof units]).default("words"),
      })
      .refine(({ min, max }) => max === undefined || min <= max, "a max of at least min is required"),
    score(input, { min, max = Number.POSITIVE_INFINITY, unit }) {
      const length = units[unit](input);
      return length < min ? length / min : length > max ? max / length : 1;
    },
  }),
  word_list: rule({
    description: "share of the listed words or phrases that are there, or with want=absent that are not",
    range: "0 to 1",
    options: z.strictObject({ words: phrases(), want: z.enum(["present", "absent"]).default("present") }),
    score({ completion }, { words, want }) {
      const there = countPhrases(completion, words).filter((count) => count > 0).length / words.length;
      return want === "present" ? there : 1 - there;
    },
  }),
  keyword: rule({
    description: "1 when a word or phrase is there, once or often; else 0",
    range: "0 or 1",
    options: z.strictObject({ word: z.string().min(1) }),
    score: ({ completion }, { word }) => ((countPhrases(completion, [word])[0] as number) > 0 ? 1 : 0),
  }),
  complete: rule({
    description: "1 when the response ends by itself, with the mark of a sentence's end",
    range: "0 or 1",
    options: z.strictObject({}),
    score: ({ completion, terminated = true }) =>
      terminated && /[.!?…。！？]["'”’»)\]]*$/u.test(completion.trimEnd()) ? 1 : 0,
  }),
  no_repetition: rule({
    description: "share of the runs of n words that stand in the response for the first time",
    range: "0 to 1; 0 of an empty response",
    options: z.strictObject({ n: number().default(3) }),
    score({ completion }, { n }) {
      const words = wordsOf(completion);
      const grams = nGrams(words, n);
      return grams.length === 0 ? Math.min(1, words.length) : new Set(grams).size / grams.length;
    },
  }),
  plain_language: rule({
    description: "short sentences of short words, by Flesch's reading ease (English), over 100",
    range: "0 to 1",
    options: z.strictObject({}),
    score({ completion }) {
      const words = wordsOf(completion);
      if (words.length === 0) return 0;
      const syllables = words.reduce((sum, word) => sum + syllablesOf(word), 0);
      // Flesch 1948
      const ease =
        206.835 - 1.015 * (words.length / sentencesOf(completion).length) - 84.6 * (syllables / words.length);
      return Math.max(0, Math.min(1, ease / 100));
    },
  }),
  rouge: rule({
    description: "ROUGE against the text in a column of the row",
    range: "0 to 1",
    options: z.strictObject({
      column: z.string().min(1).default("reference"),
      variant: z.enum(Object.keys(rougeVariants) as [RougeVariant]).default("rougeL"),
    }),
    score({ completion, row = {} }, { column, variant }) {
      const reference = row[column];
      if (typeof reference !== "string")
        throw new RewardError(
          `rule rouge: each row needs the column ${column}, a text; there are ${Object.keys(row).join(", ") || "none"}; ` +
            "name another with column=",
        );
      return rouge(completion, reference, variant);
    },
  }),
} satisfies Record<string, Rule>;
