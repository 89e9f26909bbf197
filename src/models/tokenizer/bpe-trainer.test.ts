import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { trainBpe } from "./bpe-trainer.ts";
import { createTokenizer } from "./tokenizer.ts";

const golden = JSON.parse(readFileSync("test/parity/golden/tokenizers/bpe-trainer.json", "utf8"));

describe("trainBpe", () => {
  it("learns the merges and the vocabulary of Hugging Face's BpeTrainer", () => {
    const specialTokens = ["<|endoftext|>", "<|pad|>"];
    const { tokenizer, vocabSize } = trainBpe(golden.corpus, { vocabSize: golden.vocabSize, specialTokens });
    expect(tokenizer.model.merges).toEqual(golden.merges);
    expect(tokenizer.model.vocab).toEqual(golden.vocab);
    expect(vocabSize).toBe(Object.keys(golden.vocab).length);
  });

  it("merges the most frequent pair first, by hand: ab, then abab", () => {
    const { tokenizer } = trainBpe(["abab abab"], { vocabSize: 260, specialTokens: [] });
    expect((tokenizer.model.merges as string[][]).slice(0, 2)).toEqual([
      ["a", "b"],
      ["ab", "ab"],
    ]);
  });

  it("stops below minFrequency and says the size it reached", () => {
    const { vocabSize } = trainBpe(["ab ab cd"], { vocabSize: 1000, minFrequency: 2, specialTokens: [] });
    expect(vocabSize).toBe(257);
  });

  it("makes a tokenizer that returns any text and knows its roles", () => {
    const options = { specialTokens: ["<s>", "</s>"], bosToken: "<s>", eosToken: "</s>", addBosToken: true };
    const tokenizer = createTokenizer(trainBpe(golden.corpus, { vocabSize: 300, ...options }));
    const ids = tokenizer.encode("naïve 🙂 text\n");
    expect(ids[0]).toBe(tokenizer.bosId);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("naïve 🙂 text\n");
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([0, 1, 1]);
  });

  it("refuses sizes without room for bytes, repeated tokens and unknown roles", () => {
    expect(() => trainBpe([], { vocabSize: 256 })).toThrow(/at least 257/);
    expect(() => trainBpe([], { vocabSize: 300, specialTokens: ["a", "a"] })).toThrow(/must differ/);
    expect(() => trainBpe([], { vocabSize: 300, padToken: "<pad>" })).toThrow(/padToken must be one of/);
  });
});
