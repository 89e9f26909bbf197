import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withDefaultTemplate } from "../models/chat/default-templates.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { encodeExchange } from "./exchange.ts";
import { DroppedRow, fitLength } from "./fit-length.ts";
import { loadLabels } from "./labels.ts";
import type { Pair } from "./pair.ts";
import { loadPreferences, type PreferenceOptions } from "./preferences.ts";
import { labelPreflight, preferencePreflight, promptPreflight } from "./preflight.ts";
import { loadPrompts } from "./prompts.ts";

const trained = trainBpe(["the mill stands by the river", "what stands by the river"], { vocabSize: 290 });
const tokenizer = createTokenizer({ tokenizer: trained.tokenizer, config: trained.config });
const { tokenizer: chat } = withDefaultTemplate(tokenizer, "chatml");
const eos = tokenizer.eosId as number;
const decoded = (ids: Int32Array) => tokenizer.decode([...ids]);
const load = (rows: readonly object[], options: Partial<PreferenceOptions> = {}) =>
  loadPreferences(rows as Record<string, unknown>[], tokenizer, { maxLength: 64, ...options });
const row = { prompt: "what stands by", chosen: " the mill", rejected: " the river" };

describe("preferences", () => {
  it("are the prompt's ids, and responses with the end of text; other columns stay beside them", async () => {
    const { pairs, rows } = await load([{ ...row, margin: 2, kind: "facts" }]);
    const pair = pairs.at(0) as Pair;
    expect([...pair.prompt]).toEqual(tokenizer.encode("what stands by"));
    expect([...pair.chosen]).toEqual([...tokenizer.encode(" the mill"), eos]);
    expect(decoded(pair.rejected)).toBe(` the river${tokenizer.idToToken(eos)}`);
    expect(pair).toMatchObject({
      margin: 2,
      texts: row,
      row: { kind: "facts" },
      source: { file: "row", line: 1 },
    });
    expect([rows, pairs.length]).toEqual([1, 1]);
  });

  it("share the prompt's ids also where a token would span the boundary", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 9 }),
        fc.string({ minLength: 1, maxLength: 9 }),
        fc.string({ minLength: 1, maxLength: 9 }),
        (p, a, b) => {
          const { prompt, completions } = encodeExchange(p, [a, b], tokenizer);
          for (const [i, text] of [a, b].entries()) {
            const whole = tokenizer.decode([...prompt, ...(completions[i] as number[])], {
              skipSpecialTokens: true,
            });
            expect(whole).toBe(p + text);
            expect((completions[i] as number[]).at(-1)).toBe(eos);
          }
        },
      ),
      { numRuns: 200 },
    );
    expect(encodeExchange("the mi", ["ll", "nt"], tokenizer).prompt).toEqual(tokenizer.encode("the mi"));
  });

  it("of messages begin after the generation prompt and end with the turn, without the template's line break", async () => {
    const rows = [{ prompt: [{ role: "user", content: "what" }], chosen: "the mill", rejected: "the river" }];
    const { pairs } = await loadPreferences(rows, chat, { maxLength: 64 });
    const pair = pairs.at(0) as Pair;
    expect(chat.decode([...pair.prompt])).toBe("<|im_start|>user\nwhat<|im_end|>\n<|im_start|>assistant\n");
    expect(chat.decode([...pair.chosen])).toBe("the mill<|im_end|>");
    expect(pair.chosen.at(-1)).toBe(chat.eosId);
  });

  it("come from rankings as every two completions, and from ratings of a prompt wherever they stand", async () => {
    const ranking = { prompt: "what", completions: [" a", " b", " c"], ranks: [2, 1, 2] };
    const { pairs } = await load([ranking]);
    expect([...pairs].map(({ texts, tie }) => [texts.chosen, texts.rejected, tie])).toEqual([
      [" b", " a", undefined],
      [" a", " c", true],
      [" b", " c", undefined],
    ]);
    const rating = (prompt: string, completion: string, rating: number) => ({ prompt, completion, rating });
    const rated = await load([
      rating("p", " a", 1),
      rating("q", " x", 3),
      rating("p", " b", 4),
      rating("q", " y", 3),
    ]);
    expect(
      [...rated.pairs].map(({ texts, tie, row }) => [texts.prompt, texts.chosen, tie, row.rating_difference]),
    ).toEqual([
      ["p", " b", undefined, 3],
      ["q", " x", true, 0],
    ]);
  });

  it("several ratings of one completion count as their mean", async () => {
    const rows = [" a", " b", " a"].map((completion, i) => ({
      prompt: "p",
      completion,
      rating: [1, 3, 4][i],
    }));
    const { pairs } = await load(rows);
    expect([...pairs].map(({ texts, row }) => [texts.chosen, row.rating_difference])).toEqual([[" b", 0.5]]);
  });

  it("reading ends at a thousand bad rows, for the file is another one than was meant", async () => {
    let read = 0;
    function* rows() {
      for (; ; read++) yield { prompt: "p" };
    }
    await expect(loadPreferences(rows(), tokenizer, { maxLength: 8 })).rejects.toThrow(
      /^row:1 and 999 more rows: .*; reading ended there; correct them/,
    );
    expect(read).toBe(999);
  });

  it("bad rows are told with place and reason, three of them and how many more", async () => {
    const rows = [
      row,
      { ...row, chosen: " the river" },
      { prompt: "p", chosen: " a" },
      { ...row, rejected: "" },
      { ...row, prompt: 5 },
      { chosen: "\n\nHuman: a\n\nAssistant: x", rejected: "\n\nHuman: b\n\nAssistant: y" },
    ];
    await expect(load(rows)).rejects.toThrow(
      "row:2: chosen and rejected are the same; " +
        "row:3: the column rejected is missing (preference needs prompt, chosen, rejected), got prompt, chosen; " +
        "row:4: rejected: is empty; and 2 more; correct them, or leave such rows out with --on-bad-row skip",
    );
    const { pairs, skipped } = await load(rows, { onBadRow: "skip" });
    expect([pairs.length, skipped.length]).toEqual([1, 5]);
    await expect(load(rows.slice(1), { onBadRow: "skip" })).rejects.toThrow(
      /no row can be used, 5 were left out: row:1/,
    );
    await expect(load([])).rejects.toThrow("data is required, there are no rows");
  });

  it("that differ only in what is cut away have no label left", async () => {
    const long = {
      prompt: "what",
      chosen: `${" the mill".repeat(20)} a`,
      rejected: `${" the mill".repeat(20)} b`,
    };
    await expect(load([long], { maxLength: 16 })).rejects.toThrow(
      /row:1: chosen and rejected are the same after cutting to \d+ tokens: no label is left; raise max_length/,
    );
    expect((await load([long], { maxLength: 16, completionTruncation: "keep_end" })).pairs.length).toBe(1);
  });
});

describe("lengths", () => {
  const range = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);

  it("each side is sure of half, and gets what the other does not need; nothing is cut that fits", () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(size, size, size, fc.integer({ min: 2, max: 40 }), (p, a, b, maxLength) => {
        const { prompt, completions } = fitLength(range(p), [range(a, 100), range(b, 200)], { maxLength });
        const longest = Math.max(...completions.map(({ length }) => length));
        expect(prompt.length + longest).toBeLessThanOrEqual(maxLength);
        expect(prompt.length).toBeGreaterThanOrEqual(Math.min(p, Math.floor(maxLength / 2)));
        expect(longest).toBeGreaterThanOrEqual(Math.min(Math.max(a, b), Math.ceil(maxLength / 2)));
        if (p + Math.max(a, b) <= maxLength) expect([prompt.length, longest]).toEqual([p, Math.max(a, b)]);
        expect(prompt.at(-1)).toBe(p - 1); // the end of the prompt stands next to the response
        expect(completions[0]?.[0]).toBe(100);
      }),
    );
  });

  it("the policies keep an end, drop or refuse", () => {
    const cut = (options: object) => fitLength(range(9), [range(9, 100)], { maxLength: 8, ...options });
    expect([...cut({ promptTruncation: "keep_start" }).prompt]).toEqual([0, 1, 2, 3]);
    expect([...(cut({ completionTruncation: "keep_end" }).completions[0] as Int32Array)]).toEqual([
      105, 106, 107, 108,
    ]);
    expect([...cut({ maxPromptLength: 2 }).prompt]).toEqual([7, 8]);
    expect(cut({ maxPromptLength: 2 }).completions[0]).toHaveLength(6);
    expect(cut({ maxCompletionLength: 1 }).prompt).toHaveLength(7);
    expect(() => cut({ promptTruncation: "drop" })).toThrow(DroppedRow);
    expect(() => cut({ completionTruncation: "error" })).toThrow(
      "the response has 9 tokens, there is room for 4 (max_length 8); raise it or choose a truncation",
    );
  });

  it("dropped rows are counted, and are no error", async () => {
    const rows = [row, { ...row, prompt: "what ".repeat(200) }];
    const { pairs, skipped } = await load(rows, { promptTruncation: "drop" });
    expect(pairs.length).toBe(1);
    expect(skipped).toEqual([expect.stringMatching(/^row:2: the prompt has \d+ tokens, there is room for/)]);
  });
});

describe("prompts", () => {
  it("come from any rows that have one, with the other columns for a reward function", async () => {
    const rows = [
      { prompt: "what", answer: "the mill", kind: "facts" },
      row,
      { text: "the mill stands" },
      { chosen: "\n\nHuman: a\n\nAssistant: x", rejected: "\n\nHuman: a\n\nAssistant: y" },
    ];
    const { prompts } = await loadPrompts(rows, tokenizer, { maxPromptLength: 64 });
    expect([...prompts].map(({ text }) => text)).toEqual([
      "what",
      row.prompt,
      "the mill stands",
      "\n\nHuman: a\n\nAssistant:",
    ]);
    expect(prompts.at(0)).toMatchObject({
      row: { answer: "the mill", kind: "facts" },
      ids: Int32Array.from(tokenizer.encode("what")),
    });
    const p = promptPreflight(await loadPrompts(rows, tokenizer, { maxPromptLength: 64 }), tokenizer);
    expect(p).toMatchObject({
      of: "prompts",
      examples: 4,
      formats: { prompt: 1, preference: 1, text: 1, hh: 1 },
    });
  });

  it("of conversations lose the assistant's last turn and end with the generation prompt", async () => {
    const messages = [
      { role: "user", content: "what" },
      { role: "assistant", content: "the mill" },
    ];
    const { prompts } = await loadPrompts([{ messages }], chat, { maxPromptLength: 64 });
    expect(prompts.at(0)).toMatchObject({
      text: "<|im_start|>user\nwhat<|im_end|>\n<|im_start|>assistant\n",
      messages: [{ role: "user", content: "what" }],
    });
  });

  it("keep their end when they are too long, and an empty one begins with the token that starts a text", async () => {
    const rows = [{ prompt: "the mill stands by the river" }, { prompt: "", completion: "x" }];
    const { prompts } = await loadPrompts(rows, tokenizer, { maxPromptLength: 2 });
    expect([...(prompts.at(0)?.ids ?? [])]).toEqual(
      tokenizer.encode("the mill stands by the river").slice(-2),
    );
    expect([...(prompts.at(1)?.ids ?? [])]).toEqual([tokenizer.bosId ?? eos]);
  });
});

describe("preflights", () => {
  it("of pairs count ties, margins, ends and which side is longer, and show both responses", async () => {
    const rows = [
      { ...row, margin: 1 },
      { ...row, chosen: " the mill stands by the river", tie: true },
      { ...row, rejected: " the mill stands by the river, the mill" },
    ];
    const p = preferencePreflight(await load(rows, { maxCompletionLength: 8 }), tokenizer);
    expect(p).toMatchObject({ of: "pairs", rows: 3, examples: 3 });
    expect(p.pairs).toMatchObject({ ties: 1, marginShare: 1 / 3 });
    expect(p.sample).toEqual([
      { text: "what stands by", counts: false },
      { text: ` the mill${tokenizer.idToToken(eos)}`, counts: true },
    ]);
    expect(p.rejectedSample?.at(-1)?.text).toContain(" the river");
    expect(p.eosShare).toBeLessThan(1);
  });

  it("of labelled completions say how many are desirable", async () => {
    const rows = [true, false, false].map((label, i) => ({ prompt: "what", completion: ` ${i}`, label }));
    const p = labelPreflight(await loadLabels(rows, tokenizer, { maxLength: 16 }), tokenizer);
    expect(p).toMatchObject({ examples: 3, desirableShare: 1 / 3, eosShare: 1 });
  });

  it("a pair is two labelled completions, and a tie none", async () => {
    const tie = { prompt: "what", response_1: " a", response_2: " b", preference: 0.5 };
    const { examples } = await loadLabels([row, tie] as Record<string, unknown>[], tokenizer, {
      maxLength: 16,
    });
    expect([...examples].map(({ texts, label }) => [texts.completion, label])).toEqual([
      [row.chosen, true],
      [row.rejected, false],
    ]);
  });
});
