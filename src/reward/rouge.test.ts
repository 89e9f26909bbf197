import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type RougeVariant, rouge, rougeVariants } from "./rouge.ts";
import { countPhrases, sentencesOf, wordsOf } from "./words.ts";

const names = Object.keys(rougeVariants) as RougeVariant[];

it("values are those of rouge_score", () => {
  const rows = JSON.parse(readFileSync("test/parity/golden/rouge.json", "utf8"));
  for (const { text, reference, ...scores } of rows)
    for (const name of names)
      expect(rouge(text, reference, name), `${name}: ${text}`).toBeCloseTo(scores[name], 12);
});

it("a value worked by hand", () => {
  // bigrams "police killed", "killed the", "the gunman" and "police kill", "kill the", "the gunman": one of three each
  expect(rouge("police killed the gunman", "police kill the gunman", "rouge2")).toBeCloseTo(1 / 3, 12);
  expect(rouge("police killed the gunman", "police kill the gunman", "rougeL")).toBeCloseTo(3 / 4, 12);
});

it("is symmetric, between 0 and 1, and 1 of a text with itself", () => {
  fc.assert(
    fc.property(fc.lorem(), fc.lorem(), (a, b) => {
      for (const name of names) {
        expect(rouge(a, b, name)).toBeCloseTo(rouge(b, a, name), 12);
        expect(rouge(a, b, name)).toBeGreaterThanOrEqual(0);
        expect(rouge(a, b, name)).toBeLessThanOrEqual(1);
      }
      expect(rouge(a, a)).toBe(1);
    }),
  );
});

it("words keep their apostrophes, sentences their marks, and phrases are whole words", () => {
  expect(wordsOf("Don’t stop, O'Neil -- “now”!")).toEqual(["don't", "stop", "o'neil", "now"]);
  expect(sentencesOf('Yes! "No?" Well...\nMaybe')).toEqual(["Yes!", '"No?"', "Well...", "Maybe"]);
  expect(countPhrases("No no no, nowhere", ["no", "no no", "where", ""])).toEqual([3, 1, 0, 0]);
});
