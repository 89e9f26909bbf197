import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDefaultTemplate } from "../models/chat/default-templates.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { epochBatches } from "./batches.ts";
import { collate } from "./collate.ts";
import { loadDataset } from "./dataset.ts";
import type { Example } from "./example.ts";
import { DroppedRow } from "./fit-length.ts";
import { inspectData } from "./inspect.ts";
import { readRawRows } from "./node-files.ts";
import { packExamples } from "./packing.ts";
import { preflight } from "./preflight.ts";
import { type TokenizeOptions, tokenizeRow } from "./tokenize.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-data-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, name.endsWith(".gz") ? gzipSync(content) : content);
  return path;
}

const trained = trainBpe(["the cat sat on the mat", "what is the sum"], { vocabSize: 280 });
const tokenizer = createTokenizer({ tokenizer: trained.tokenizer, config: trained.config });
const eos = tokenizer.eosId as number;
const source = { file: "f", line: 1 };
const tokenize = (row: object, options: Partial<TokenizeOptions> = {}) =>
  tokenizeRow({ ...(row as { kind: "text"; text: string }), source }, tokenizer, {
    maxLength: 64,
    ...options,
  });
const rowsOf = async (path: string, options = {}) => {
  const out = [];
  for await (const row of readRawRows(path, options)) out.push(row);
  return out;
};
const texts = async (path: string, options = {}) =>
  (await rowsOf(path, options)).map(({ value, source }) => ({ ...(value as { text: string }), source }));

describe("files", () => {
  it("rows come with their place, from JSON lines, arrays and text, gzipped or not", async () => {
    const lines =
      '{"text":"a"}\n\n{"prompt":"b","completion":"c"}\r\n{"messages":[{"role":"user","content":"d"}]}';
    for (const name of ["a.jsonl", "a.jsonl.gz"]) {
      const path = await file(name, lines);
      expect((await rowsOf(path)).map(({ value, source }) => [Object.keys(value as object), source])).toEqual(
        [
          [["text"], { file: path, line: 1 }],
          [["prompt", "completion"], { file: path, line: 3 }],
          [["messages"], { file: path, line: 4 }],
        ],
      );
    }
    expect(await texts(await file("a.json", '[{"text":"x"},{"text":"y"}]'))).toHaveLength(2);
    expect(await texts(await file("a.txt", "one\n\ntwo"))).toMatchObject([{ text: "one\n\ntwo" }]);
  });

  it("a separator cuts text into documents, which keep the line where they begin", async () => {
    const path = await file("s.txt", "one\nmore\n<|end|>\n\ntwo\n<|end|>\n<|end|>three");
    expect(await texts(path, { separator: "<|end|>" })).toMatchObject([
      { text: "one\nmore", source: { line: 1 } },
      { text: "two", source: { line: 5 } },
      { text: "three", source: { line: 7 } },
    ]);
  });

  it("characters that are cut by the reader's pieces come out whole", async () => {
    const text = "äöü€😀".repeat(20_000);
    expect(await texts(await file("u.txt", text))).toMatchObject([{ text }]);
  });

  it("every row that cannot be used is named with line and reason, or counted when it is left out", async () => {
    const path = await file(
      "bad.jsonl",
      '{"text":"fine"}\n{"text":\n{"txt":"x"}\n{"text":7}\n{"prompt":"p","completion":""}\n[1]',
    );
    await expect(loadDataset(path, tokenizer, { maxLength: 64 })).rejects.toThrow(
      /bad\.jsonl:2: not JSON.*; .*:3: .*; .*:4: .*; and 2 more; correct them, .*--on-bad-row skip/,
    );
    const { unpacked, skipped } = await loadDataset(path, tokenizer, { maxLength: 64, onBadRow: "skip" });
    expect(unpacked).toHaveLength(1);
    expect(skipped.map((line) => line.replace(/^.*bad.jsonl:/, ""))).toEqual([
      expect.stringMatching(/^2: not JSON: /),
      "3: the columns prompt and completion, or messages, or text, or chosen and rejected are required, got txt",
      "4: text: a string is required, got 7",
      "5: completion: is empty",
      "6: a row must be a JSON object, got a list of 1",
    ]);
  });

  it("a file of which no row can be read is not called empty", async () => {
    const path = await file("cut.jsonl", '{"prompt":"a"\n{"text"');
    await expect(loadDataset(path, tokenizer, { maxLength: 8 })).rejects.toThrow(/cut\.jsonl:1: not JSON/);
    await expect(inspectData(path, tokenizer)).rejects.toThrow(
      /^no row can be used: .*cut\.jsonl:1: not JSON/,
    );
  });

  it("missing, empty, damaged and binary files are told apart", async () => {
    await expect(texts(join(folder, "none.txt"))).rejects.toThrow(/none\.txt: no such file/);
    await expect(texts(folder)).rejects.toThrow(/is a folder/);
    await expect(texts(await file("empty.jsonl", "\n"))).rejects.toThrow(/has no rows/);
    await expect(texts(await file("blank.txt", " \n"))).rejects.toThrow(/has no rows/);
    const broken = join(folder, "broken.jsonl.gz");
    await writeFile(broken, gzipSync("{}".repeat(1000)).subarray(0, 20));
    await expect(texts(broken)).rejects.toThrow(/broken\.jsonl\.gz: cannot be read/);
    const binary = join(folder, "binary.txt");
    await writeFile(binary, Uint8Array.of(0xff, 0xfe, 0x00, 0x80));
    await expect(texts(binary)).rejects.toThrow(/not UTF-8/);
  });
});

describe("pairs as demonstrations", () => {
  const pair = { prompt: "what is", chosen: " the cat", rejected: " the mat" };

  it("the chosen response of a pair is the completion, and a tie is left out and told", async () => {
    const path = await file(
      "pairs.jsonl",
      `${JSON.stringify(pair)}\n${JSON.stringify({ ...pair, tie: true })}`,
    );
    const { examples, rows, skipped, formats } = await loadDataset(path, tokenizer, { maxLength: 64 });
    const [wanted] = tokenize({ kind: "completion", prompt: pair.prompt, completion: pair.chosen });
    expect([...examples].map(({ ids, counts }) => ({ ids, counts }))).toEqual([
      { ids: wanted?.ids, counts: wanted?.counts },
    ]);
    expect({ rows, formats, skipped }).toEqual({
      rows: 2,
      formats: { preference: 1 },
      skipped: [expect.stringContaining(`${path}:2: a tie has no chosen response`)],
    });
  });

  it("a pair of conversations gives the one that ends with the chosen answer", async () => {
    const chat = (content: string) => [{ role: "assistant", content }];
    const row = { prompt: [{ role: "user", content: "what" }], chosen: chat("cat"), rejected: chat("mat") };
    const { tokenizer: talking } = withDefaultTemplate(tokenizer, "plain");
    const [found] = tokenizeRow({ ...row, kind: "preference", source }, talking, { maxLength: 64 });
    const [wanted] = tokenizeRow(
      { kind: "completion", prompt: row.prompt, completion: row.chosen, source },
      talking,
      { maxLength: 64 },
    );
    expect(found).toEqual(wanted);
  });
});

describe("tokenising", () => {
  it("the end of text is appended, is a label, and the first token is none", () => {
    const [{ ids, counts }] = tokenize({ kind: "text", text: "the cat" }) as [Example];
    expect([...ids]).toEqual([...tokenizer.encode("the cat"), eos]);
    expect([...counts]).toEqual([0, ...Array(ids.length - 1).fill(1)]);
  });

  it("in prompt-completion rows the completion and the end count, or everything when asked", () => {
    const row = { kind: "completion", prompt: "what is", completion: " the sum" };
    const before = tokenizer.encode("what is").length;
    const [example] = tokenize(row) as [Example];
    expect([...example.counts]).toEqual([
      ...Array(before).fill(0),
      ...Array(example.ids.length - before).fill(1),
    ]);
    const [whole] = tokenize(row, { completionOnlyLoss: false }) as [Example];
    expect(whole.counts.indexOf(0, 1)).toBe(-1);
  });

  it("where a token would span the boundary, the prompt keeps the ids that generation gives it", () => {
    const [example] = tokenize({ kind: "completion", prompt: "the ca", completion: "t sat" }) as [Example];
    const prompt = tokenizer.encode("the ca");
    expect([...example.ids].slice(0, prompt.length)).toEqual(prompt);
    expect(tokenizer.decode([...example.ids])).toBe(`the cat sat${tokenizer.idToToken(eos)}`);
    expect(example.counts[prompt.length]).toBe(1);
  });

  it("split keeps every label once; the other truncations keep one end", () => {
    const row = { kind: "text", text: "the cat sat on the mat ".repeat(9) };
    const all = [...tokenizer.encode(row.text), eos];
    const parts = tokenize(row, { maxLength: 10, truncation: "split" });
    const labels = parts.flatMap(({ ids, counts }) => [...ids].filter((_, i) => counts[i]));
    expect(labels).toEqual(all.slice(1));
    expect(Math.max(...parts.map(({ ids }) => ids.length))).toBe(10);
    const [start] = tokenize(row, { maxLength: 10, truncation: "keep_start" }) as [Example];
    expect([...start.ids]).toEqual(all.slice(0, 10));
    const [end] = tokenize(row, { maxLength: 10, truncation: "keep_end" }) as [Example];
    expect([...end.ids]).toEqual(all.slice(-10));
    expect(() => tokenize(row, { maxLength: 10, truncation: "drop" })).toThrow(DroppedRow);
    expect(() => tokenize(row, { maxLength: 10, truncation: "error" })).toThrow(
      /the row has \d+ tokens, max_length is 10; raise it/,
    );
  });

  it("a row that keeps no label is an error or a counted loss, never a loss of 0", async () => {
    const rows = [{ prompt: "the cat sat on the mat ".repeat(4), completion: "x" }, { text: "the mat" }];
    await expect(loadDataset(rows, tokenizer, { maxLength: 8 })).rejects.toThrow(
      /row:1: no label is left after cutting/,
    );
    const { examples, skipped } = await loadDataset(rows, tokenizer, { maxLength: 8, onBadRow: "skip" });
    expect([examples.length, skipped.length]).toEqual([1, 1]);
    await expect(
      loadDataset(rows.slice(0, 1), tokenizer, { maxLength: 8, onBadRow: "skip" }),
    ).rejects.toThrow(/no row can be used/);
  });

  describe("conversations", () => {
    const { tokenizer: chat } = withDefaultTemplate(tokenizer, "chatml");
    const turns = [
      { role: "user", content: "what is" },
      { role: "assistant", content: "the sum" },
      { role: "user", content: "the mat" },
      { role: "assistant", content: "the cat" },
    ];
    const counted = (row: object, options: Partial<TokenizeOptions>) => {
      const [{ ids, counts }] = tokenizeRow({ ...(row as { kind: "text"; text: string }), source }, chat, {
        maxLength: 256,
        ...options,
      }) as [Example];
      return chat.decode([...ids].filter((_, i) => counts[i]));
    };

    it("count as a whole, or the assistant's words alone, its end of turn included and no second end", () => {
      const row = { kind: "messages", messages: turns };
      expect(counted(row, {})).toMatch(/^user\nwhat is<\|im_end\|>[\s\S]*the cat<\|im_end\|>\n$/);
      expect(counted(row, { assistantOnlyLoss: true })).toBe("the sum<|im_end|>the cat<|im_end|>");
    });

    it("as prompt and completion count in the completion, also after an answer in the prompt", () => {
      const row = { kind: "completion", prompt: turns.slice(0, 3), completion: turns.slice(3) };
      expect(counted(row, {})).toBe("the cat<|im_end|>");
      expect(counted(row, { completionOnlyLoss: false })).toContain("the sum");
    });

    it("without a template are refused with the names of Attune's", async () => {
      const rows = [{ messages: turns }];
      await expect(loadDataset(rows, tokenizer, { maxLength: 64 })).rejects.toThrow(
        /row:1: .*chatml, human-assistant, plain/,
      );
    });
  });

  it("preflight counts rows, labels and ends, and shows which text counts", async () => {
    const rows = [
      { prompt: "what is", completion: " the sum" },
      { text: "the cat sat on the mat ".repeat(9) },
    ];
    const p = preflight(
      await loadDataset(rows, tokenizer, { maxLength: 20, truncation: "keep_start" }),
      tokenizer,
    );
    expect(p).toMatchObject({ rows: 2, examples: 2, eosShare: 0.5, lengths: { max: 20 } });
    expect(p.sample).toEqual([
      { text: "what is", counts: false },
      { text: ` the sum${tokenizer.idToToken(eos)}`, counts: true },
    ]);
  });
});

describe("batches", () => {
  const lengthsOf = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 300 });

  it("an epoch has every row once, and is a function of seed and epoch", () => {
    fc.assert(
      fc.property(lengthsOf, fc.integer({ min: 1, max: 9 }), fc.nat(), (lengths, size, seed) => {
        const batches = epochBatches(lengths, size, seed, 3);
        expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
        expect(epochBatches(lengths, size, seed, 3)).toEqual(batches);
        expect(Math.max(...batches.map((b) => b.length))).toBeLessThanOrEqual(size);
      }),
      { numRuns: 30 },
    );
    const lengths = Array.from({ length: 64 }, (_, i) => i);
    expect(epochBatches(lengths, 4, 1, 0)).not.toEqual(epochBatches(lengths, 4, 1, 1));
    expect(epochBatches(lengths, 4, 1, 0)).not.toEqual(epochBatches(lengths, 4, 2, 0));
  });

  it("batches by length waste less", () => {
    const lengths = Array.from({ length: 512 }, (_, i) => 1 + ((i * 37) % 200));
    const padded = (batches: number[][]) =>
      batches.reduce((n, b) => n + b.length * Math.max(...b.map((i) => lengths[i] as number)), 0);
    const grouped = padded(epochBatches(lengths, 8, 0, 0));
    expect(grouped).toBeLessThan(0.7 * padded(epochBatches(lengths, 8, 0, 0, { groupByLength: false })));
  });

  const example = (n: number, tag = 0): Example => ({
    ids: Int32Array.from({ length: n }, (_, i) => 1 + i + tag),
    counts: Uint8Array.from({ length: n }, (_, i) => (i === 0 ? 0 : 1)),
    segments: [n],
    sources: [{ file: "f", line: tag }],
  });

  it("packing keeps every token and label, never cuts, and never exceeds the length", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 2, max: 32 }), { minLength: 1, maxLength: 80 }), (lengths) => {
        const packed = [
          ...packExamples(
            lengths.map((n, i) => example(n, i)),
            32,
          ),
        ];
        const total = lengths.reduce((a, b) => a + b, 0);
        expect(packed.flatMap(({ segments }) => segments).sort()).toEqual([...lengths].sort());
        expect(Math.max(...packed.map(({ ids }) => ids.length))).toBeLessThanOrEqual(32);
        // First-fit-decreasing never needs more than 11/9 of the best, plus one.
        expect(packed.length).toBeLessThanOrEqual(Math.ceil((total / 32) * 2) + 1);
        for (const { ids, segments, counts } of packed) {
          expect(segments.reduce((a, b) => a + b, 0)).toBe(ids.length);
          let at = 0;
          for (const n of segments) {
            expect(counts[at]).toBe(0);
            at += n;
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it("labels stand under the token that predicts them, padding is -100, packed rows say their places", () => {
    const packed = packExamples([example(3), example(2)], 8).at(0) as Example;
    const batch = collate([packed], { multipleOf: 4, maxLength: 7, packed: true, padId: 9 });
    const list = (x?: { data: BigInt64Array }) => [...(x?.data ?? [])].map(Number);
    expect(batch.input_ids.shape).toEqual([1, 7]);
    expect(list(batch.input_ids)).toEqual([1, 2, 3, 1, 2, 9, 9]);
    expect(list(batch.labels)).toEqual([2, 3, -100, 2, -100, -100, -100]);
    expect(list(batch.segment_ids)).toEqual([1, 1, 1, 2, 2, 0, 0]);
    expect(list(batch.position_ids)).toEqual([0, 1, 2, 0, 1, 0, 0]);
  });
});
