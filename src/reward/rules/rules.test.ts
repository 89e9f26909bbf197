import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RewardInput } from "../reward.ts";
import { ruleReward, rules } from "./index.ts";

type Case = readonly [completion: string, score: number];

const plain = "The cat sat on the mat. It was warm.";
const ornate =
  "Notwithstanding considerable organisational complexities, interdepartmental communication necessitates " +
  "extraordinarily comprehensive administrative documentation.";

/** Each rule on both sides of what it is about. */
const examples: Readonly<
  Record<
    string,
    { options?: Record<string, unknown>; prompt?: string; input?: Partial<RewardInput>; cases: Case[] }
  >
> = {
  exact_match: {
    options: { ignore_case: "true", ignore_punctuation: true, pattern: "(?:it is|answer:) (.+)$" },
    input: { row: { answer: ["San José", "SJ"] } },
    cases: [
      ["I think it is san  jose\u0301!", 1],
      ["Answer: San Diego. No, it is SJ", 0],
      ["It is San Diego.\nANSWER: sj.", 1],
      ["San José", 0],
    ],
  },
  numeric_answer: {
    options: { tolerance: "0.01" },
    input: { row: { answer: "5 + 3 makes 8, and so on: #### -1,234.5" } },
    cases: [
      ["12 and then -1234.5.", 1],
      ["It is −1,234.501", 1],
      ["It is 1234.5", 0],
      ["10-1234.5", 0],
      ["-1.2345e3", 1],
      ["-1234.5 or 7", 0],
      ["none", 0],
    ],
  },
  regex: {
    options: { pattern: "^\\d+ cats?\\b", flags: "imgu" },
    cases: [
      ["I see\n7 CATS.", 1],
      ["I see 7 cats.", 0],
      ["7 catsuits", 0],
    ],
  },
  length_band: {
    options: { min: "2", max: 4 },
    cases: [
      ["one", 0.5],
      ["one two", 1],
      ["one two three, four!", 1],
      ["a b c d e f g h", 0.5],
      ["", 0],
    ],
  },
  word_list: {
    options: { words: "salt, black pepper" },
    cases: [
      ["Salt and black pepper.", 1],
      ["Pepper that is black, and SALT", 0.5],
      ["salty", 0],
    ],
  },
  keyword: {
    options: { word: "please" },
    cases: [
      ["Please, please!", 1],
      ["pleased", 0],
    ],
  },
  complete: {
    cases: [
      ["It is done.", 1],
      ['She said: "Yes!"', 1],
      ["And then the", 0],
      ["", 0],
    ],
  },
  no_repetition: {
    options: { n: 2 },
    cases: [
      ["all words here differ", 1],
      ["a b a b a b", 2 / 5],
      ["one", 1],
      ["", 0],
    ],
  },
  rouge: {
    input: { row: { reference: "the cat sat on the mat" } },
    cases: [
      ["The cat sat on the mat.", 1],
      ["the mat", 0.5],
      ["dogs", 0],
    ],
  },
  on_topic: {
    prompt: "How do I bake bread?",
    cases: [
      ["To bake bread, mix flour with water.", 1],
      ["Bread needs flour.", 0.5],
      ["The sea is wide.", 0],
      ["How do I bake bread?", 0],
    ],
  },
  overconfident: {
    cases: [
      ["It may rain tomorrow.", 0],
      ["It will definitely rain. Take a coat.", -0.5],
      ["Obviously, undoubtedly, it will rain.", -1],
    ],
  },
  clarifying_question: {
    prompt: "Is it far? Book a table for us.",
    cases: [
      ["For how many people, and at what time?", 1],
      ["Your table is booked.", 0],
      ["Is it far?", 0],
      ["What time? Which place? How many? Who pays?", 0],
    ],
  },
  refusal_with_reason: {
    cases: [
      ["I won't help with that, because somebody could get hurt.", 1],
      ["I can’t help with that.", 0.5],
      ["Here is how: first, take the key.", 0],
    ],
  },
  keyword_count: {
    options: { words: ["good", "very good"] },
    cases: [
      ["bad", 0],
      ["good good good", 3],
      ["very good", 2],
    ],
  },
  length: {
    cases: [
      ["", 0],
      ["well, well, well", 3],
    ],
  },
  exclamation: {
    cases: [
      ["Fine.", 0],
      ["Fine!!! Great!", 4],
    ],
  },
  flattery: {
    cases: [
      ["The answer is four.", 0],
      ["Great question! You're right. What a great question!", 3],
    ],
  },
};

const scoreOf = (
  name: string,
  completion: string,
  { options, prompt = "A prompt.", input }: (typeof examples)[string],
) => (ruleReward(name, options)([{ prompt, completion, ...input }]) as number[])[0] as number;

it("joins digits that stand apart, where that is asked for", () => {
  const input = { prompt: "", completion: "7 plus 8 is 1 5, so it is 7 5.", row: { answer: 75 } };
  expect(ruleReward("numeric_answer", { join_digits: "true" })([input])).toEqual([1]);
  expect(ruleReward("numeric_answer")([input])).toEqual([0]);
});

describe("rules", () => {
  it.each(Object.entries(examples))("%s scores its examples", (name, example) => {
    for (const [completion, score] of example.cases)
      expect(scoreOf(name, completion, example), completion).toBeCloseTo(score, 12);
  });

  it("plain_language prefers short sentences of short words", () => {
    const [simple, hard] = [plain, ornate].map((text) => scoreOf("plain_language", text, { cases: [] }));
    expect(simple).toBeGreaterThan(0.9);
    expect(hard).toBe(0);
    expect(scoreOf("plain_language", "", { cases: [] })).toBe(0);
  });

  it("every rule has its examples", () => {
    expect([...Object.keys(examples), "plain_language"].sort()).toEqual(Object.keys(rules).sort());
  });

  it("gives a finite number to any text, within 0 and 1 (or -1 and 0) unless it is flawed", () => {
    const texts = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.lorem());
    for (const [name, row] of Object.entries(rules)) {
      const options = examples[name]?.options;
      const reward = ruleReward(name, options);
      fc.assert(
        fc.property(texts, texts, (prompt, completion) => {
          const [score] = reward([{ prompt, completion, row: { reference: prompt, answer: 7 } }]) as [number];
          expect(Number.isFinite(score)).toBe(true);
          if (!row.flawed) expect(score).toBeGreaterThanOrEqual(row.range.startsWith("-1") ? -1 : 0);
          if (!row.flawed) expect(score).toBeLessThanOrEqual(1);
        }),
        { numRuns: 60 },
      );
    }
  });

  it("flawed ones pay without limit for what is repeated; the others do not", () => {
    const stuffed = "Great question, you're right! Good! Please! ".repeat(200);
    for (const [name, row] of Object.entries(rules)) {
      const options = name === "keyword_count" ? { words: "good" } : examples[name]?.options;
      const [score] = ruleReward(
        name,
        options,
      )([{ prompt: "Say please.", completion: stuffed, row: { reference: "Please.", answer: 7 } }]) as [
        number,
      ];
      if (row.flawed) expect(score, name).toBeGreaterThanOrEqual(200);
      else expect(score, name).toBeLessThanOrEqual(1);
    }
  });

  it("refuses unknown rules and options with the nearest name, and values that do not fit", () => {
    expect(() => ruleReward("lenght_band")).toThrow(
      "rule lenght_band: there is no such rule; did you mean length_band?",
    );
    expect(() => ruleReward("toString")).toThrow(/no such rule/);
    expect(() => ruleReward("length_band", { mim: 3 })).toThrow("there is no option mim; did you mean min?");
    expect(() => ruleReward("length", { min: 3 })).toThrow("there is no option min; it has none");
    expect(() => ruleReward("length_band", { min: "few" })).toThrow(
      'rule length_band: min: a number is required, got "few"',
    );
    expect(() => ruleReward("keyword")).toThrow("rule keyword: word: a value is required");
    expect(() => ruleReward("word_list", { words: " , " })).toThrow(/words: at least one word/);
    expect(() => ruleReward("rouge")([{ prompt: "", completion: "a", row: { summary: "a" } }])).toThrow(
      /needs the column reference, a text; there are summary/,
    );
    const score = (name: string, options: Record<string, unknown>, row?: Record<string, unknown>) => () =>
      ruleReward(name, options)([{ prompt: "", completion: "a", ...(row && { row }) }]);
    expect(score("exact_match", {}, { label: "a" })).toThrow(/needs the column answer; there are label/);
    expect(score("numeric_answer", {}, { answer: "a" })).toThrow(/column answer needs a number, got "a"/);
    expect(score("regex", { pattern: "(" })).toThrow(/rule regex: .*Unterminated group/);
    expect(score("regex", {})).toThrow(/needs the column pattern/);
    expect(score("exact_match", { ignore_case: "yes" }, {})).toThrow(
      /ignore_case: true or false is required/,
    );
    expect(() => ruleReward("length_band", { unit: "tokens" })([{ prompt: "", completion: "" }])).toThrow(
      /token ids/,
    );
  });
});

it("docs/rewards.md has every rule with its options, and marks the flawed ones", () => {
  const rows = readFileSync("docs/rewards.md", "utf8").split("\n");
  for (const [name, { options, flawed = false }] of Object.entries(rules)) {
    const row = rows.find((line) => line.startsWith(`| \`${name}\` |`)) ?? "";
    expect(row.includes("*flawed*"), name).toBe(flawed);
    for (const option of Object.keys(options.shape)) expect(row.split(" | ")[2]).toContain(`\`${option}\``);
  }
});
