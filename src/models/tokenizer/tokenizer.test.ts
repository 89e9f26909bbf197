import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { streamDecoder } from "./stream-decoder.ts";
import { tokenSpans } from "./token-spans.ts";
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
const stories = "../shared/data/tinystories/tinystories_val_moe.txt.gz";
const names = ["gpt2", "llama2", "llama2-legacy", "llama3", "qwen2", "neox", "config-only", "own-trainer"];

function files(name: string): TokenizerFiles {
  const { tokenizer, sameTokenizerAs, config } = golden(name);
  return { tokenizer: sameTokenizerAs ? golden(sameTokenizerAs).tokenizer : tokenizer, config };
}

const tinystoriesTokenizer = () =>
  createTokenizer({
    tokenizer: read(`${tinystories}/tokenizer.json`),
    config: read(`${tinystories}/tokenizer_config.json`),
  });

function expectParity(tokenizer: ReturnType<typeof createTokenizer>, { facts, cases }: Golden) {
  expect(tokenizer.vocabSize).toBe(facts.size);
  const { bosId, eosId, padId, unkId } = tokenizer;
  expect([bosId, eosId, padId, unkId].map((id) => id ?? null)).toEqual([
    facts.bos,
    facts.eos,
    facts.pad,
    facts.unk,
  ]);
  for (const { text, ids, plain, decoded, skipped } of cases) {
    expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(plain);
    expect(tokenizer.decode(ids), text).toBe(decoded);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }), text).toBe(skipped);
  }
}

describe("parity with transformers: ids, decoded text, special ids", () => {
  for (const name of names) it(name, () => expectParity(createTokenizer(files(name)), golden(name)));
  it.skipIf(!existsSync(tinystories))("tinystories-656k", () => {
    expectParity(tinystoriesTokenizer(), golden("tinystories-656k"));
  });
});

describe("createTokenizer", () => {
  it("saves files that make the same tokenizer", () => {
    const tokenizer = createTokenizer(files("config-only"));
    const again = createTokenizer(JSON.parse(JSON.stringify(tokenizer)));
    expectParity(again, golden("config-only"));
  });

  it("gives new tokens the next ids and says how far the embedding must grow", () => {
    const before = createTokenizer(files("llama2"));
    const { tokenizer, added } = before.addTokens([
      "<|im_start|>",
      "</s>",
      { content: "<tool>", special: false },
    ]);
    expect(added.map(({ content, id }) => [content, id])).toEqual([
      ["<|im_start|>", 520],
      ["<tool>", 521],
    ]);
    expect([before.vocabSize, tokenizer.vocabSize]).toEqual([520, 522]);
    const ids = tokenizer.encode("<|im_start|>a<tool>");
    expect(ids).toContain(520);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("a<tool>");
    expect(createTokenizer(tokenizer.toJSON()).encode("<|im_start|>a<tool>")).toEqual(ids);
  });

  it("changes a role with the configuration", () => {
    const { tokenizer } = createTokenizer(files("gpt2")).addTokens(["<|im_end|>"]);
    expect(tokenizer.withConfig({ eos_token: "<|im_end|>" }).eosId).toBe(421);
  });

  it("takes class and roles from the model type where the configuration is silent", () => {
    const { tokenizer } = files("gpt2");
    expect(createTokenizer({ tokenizer, config: {} }).eosId).toBeUndefined();
    expect(createTokenizer({ tokenizer, config: {} }, { modelType: "gpt2" }).eosId).toBe(0);
  });

  it("refuses files that are no tokenizer, with the next step", () => {
    const config = {};
    expect(() => createTokenizer({ tokenizer: {} as TokenizerJson, config })).toThrow(
      /needs a model with a vocabulary/,
    );
    const damaged = structuredClone(files("gpt2").tokenizer);
    (damaged.model.merges as [string, string][])[0] = ["no such", "token"];
    expect(() => createTokenizer({ tokenizer: damaged, config })).toThrow(/merge 0 .* damaged/);
    const unknown = { ...files("gpt2").tokenizer, normalizer: { type: "Nonsense" } };
    expect(() => createTokenizer({ tokenizer: unknown, config })).toThrow(/Nonsense/);
  });

  it("decodes nothing to nothing and skips ids outside the vocabulary", () => {
    const tokenizer = createTokenizer(files("gpt2"));
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([9999, ...tokenizer.encode("hi")])).toBe("hi");
  });
});

const text = fc.string({
  unit: fc.oneof(
    fc.string({ unit: "binary", maxLength: 1 }),
    fc.constantFrom(" ", "a", "fox", "\n", "é", "🙂", "<s>", "<|im_end|>", "▁", "\t"),
  ),
});

describe.each(names)("%s", (name) => {
  const tokenizer = createTokenizer(files(name));
  /** Without the spaces that a token may begin or end with; `▁` is a space to Llama. */
  const bare = (part: string) => (name.startsWith("llama2") ? part.replaceAll("▁", " ") : part).trim();

  it("returns any text unchanged, but for its Unicode normalisation and stripped spaces", () => {
    const nfc = /"NFC"/.test(JSON.stringify(tokenizer.definition.normalizer));
    fc.assert(
      fc.property(text, (given) => {
        const back = tokenizer.decode(tokenizer.encode(given, { addSpecialTokens: false }));
        if (name === "config-only") expect(back.replace(/\s/g, "")).toBe(given.replace(/\s/g, ""));
        else if (name.startsWith("llama2"))
          expect(back.replace(/[ ▁]/g, "")).toBe(given.replace(/[ ▁]/g, ""));
        else expect(back).toBe(nfc ? given.normalize("NFC") : given);
      }),
      { numRuns: 200 },
    );
  });

  it("streams pieces that join to the decoding of all ids", () => {
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize + 1 }), { maxLength: 40 });
    const random = fc.oneof(
      ids,
      text.map((given) => tokenizer.encode(given)),
    );
    fc.assert(
      fc.property(random, fc.boolean(), (given, skipSpecialTokens) => {
        const decoder = streamDecoder(tokenizer, { skipSpecialTokens });
        const pieces = given.map((id) => decoder.push(id));
        expect(pieces.join("") + decoder.flush()).toBe(tokenizer.decode(given, { skipSpecialTokens }));
      }),
      { numRuns: 300 },
    );
  });

  it("knows the characters of each token", () => {
    fc.assert(
      fc.property(text, (given) => {
        const nfc = given.normalize("NFC");
        const ids = tokenizer.encode(nfc, { addSpecialTokens: false });
        const spans = tokenSpans(tokenizer, nfc, ids);
        expect(spans.length).toBe(ids.length);
        for (const [i, [start, end]] of spans.entries()) {
          expect(end).toBeGreaterThanOrEqual(start);
          const previous = spans[i - 1];
          if (previous) expect(start).toBeGreaterThanOrEqual(previous[0]);
          const alone = tokenizer.decode([ids[i] as number]);
          if (!alone.includes("\uFFFD")) expect(bare(nfc.slice(start, end))).toBe(bare(alone));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("streamDecoder", () => {
  it("holds back half an emoji", () => {
    const tokenizer = createTokenizer(files("llama3"));
    const decoder = streamDecoder(tokenizer);
    const ids = tokenizer.encode("a👍b", { addSpecialTokens: false });
    const pieces = ids.map((id) => decoder.push(id));
    expect(pieces.every((piece) => !piece.includes("\uFFFD"))).toBe(true);
    expect(pieces.join("")).toBe("a👍b");
  });
});

describe.skipIf(!existsSync(stories) || !existsSync(tinystories))("real stories (../shared/data)", () => {
  it("come back unchanged but for characters that the vocabulary lacks, which leave gaps in the spans", () => {
    const tokenizer = tinystoriesTokenizer();
    const rows = gunzipSync(readFileSync(stories)).toString().split("\n").slice(0, 3000);
    const ids = tokenizer.encodeBatch(rows, { addSpecialTokens: false });
    let equal = 0;
    rows.forEach((row, i) => {
      const known = Array.from(row, (c) => (c === " " || tokenizer.tokenToId(c) !== undefined ? c : "")).join(
        "",
      );
      expect(tokenizer.decode(ids[i] as number[])).toBe(known);
      if (known === row) equal++;
      const spans = tokenSpans(tokenizer, row, ids[i] as number[]);
      const covered = Array.from(spans, ([start, end]) => row.slice(start, end)).join("");
      expect(covered).toBe(known);
    });
    expect(equal).toBeGreaterThan(rows.length * 0.98);
  });
});
