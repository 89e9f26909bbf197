import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "./tokenizer.ts";
import type { TokenizerConfig, TokenizerFiles, TokenizerJson } from "./tokenizer-files.ts";

interface Golden {
  facts: { size: number; bos: number | null; eos: number | null; pad: number | null; unk: number | null };
  cases: { text: string; ids: number[]; plain: number[]; decoded: string; skipped: string }[];
  tokenizer: TokenizerJson;
  sameTokenizerAs?: string;
  config: TokenizerConfig;
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const golden = (name: string): Golden => read(`test/parity/golden/tokenizers/${name}.json`);
const tinystories = "../shared/data/tinystories-656k";

function files(name: string): TokenizerFiles {
  const { tokenizer, sameTokenizerAs, config } = golden(name);
  return { tokenizer: sameTokenizerAs ? golden(sameTokenizerAs).tokenizer : tokenizer, config };
}

function tinystoriesFiles(): TokenizerFiles {
  return { tokenizer: read(`${tinystories}/tokenizer.json`), config: read(`${tinystories}/tokenizer_config.json`) };
}

function expectParity(given: TokenizerFiles, { facts, cases }: Golden) {
  const tokenizer = createTokenizer(given);
  expect(tokenizer.vocabSize).toBe(facts.size);
  const { bosId, eosId, padId, unkId } = tokenizer;
  expect([bosId, eosId, padId, unkId].map((id) => id ?? null)).toEqual([facts.bos, facts.eos, facts.pad, facts.unk]);
  for (const { text, ids, plain, decoded, skipped } of cases) {
    expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(plain);
    expect(tokenizer.decode(ids), text).toBe(decoded);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }), text).toBe(skipped);
  }
}

describe("parity with transformers: ids, decoded text, special ids", () => {
  const names = ["gpt2", "llama2", "llama2-legacy", "llama3", "qwen2", "neox", "config-only", "own-trainer"];
  for (const name of names) it(name, () => expectParity(files(name), golden(name)));
  it.skipIf(!existsSync(tinystories))("tinystories-656k", () => {
    expectParity(tinystoriesFiles(), golden("tinystories-656k"));
  });
});
