/** Memory does not grow with the file: what does not fit into the budget lies on disk, whatever the trainer reads. */
import { once } from "node:events";
import { createWriteStream, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { loadDataset } from "./dataset.ts";
import { mixture } from "./mixture.ts";
import { loadRows } from "./node-load.ts";
import { createRowStore } from "./node-store.ts";
import { loadPreferences } from "./preferences.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-streaming-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const trained = trainBpe(["the mill stands by the river"], { vocabSize: 280 });
const tokenizer = createTokenizer({ tokenizer: trained.tokenizer, config: trained.config });

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
/** Bytes that are in use once what is not needed is gone. */
const inUse = () => {
  collect();
  collect(); // what the first one gave up outside the heap
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe("a file that is larger than the budget", () => {
  it("is read, kept and given back row by row in a small part of its size", { timeout: 60_000 }, async () => {
    const path = join(folder, "big.jsonl");
    const rows = 30_000;
    const out = createWriteStream(path);
    for (let i = 0; i < rows; i++)
      if (!out.write(`${JSON.stringify({ text: `${i} ${"x".repeat(1000)}` })}\n`)) await once(out, "drain");
    out.end();
    await once(out, "finish");

    const before = inUse();
    let most = 0;
    let seen = 0;
    const { items } = await loadRows(
      path,
      { name: "texts", kinds: ["text"] },
      () => ({
        each: ({ text }) => {
          if (++seen % 6000 === 0) most = Math.max(most, inUse() - before);
          return [{ text, ids: new Int32Array(1000).fill(seen) }];
        },
      }),
      { chat: false, memoryBudget: 2 ** 20, temporaryDir: folder },
    );
    const megabyte = 2 ** 20;
    expect(items.length).toBe(rows);
    // 30 MB of text and 120 MB of ids, measured with the last row in hand
    expect(most).toBeLessThan(16 * megabyte);
    for (const i of [0, 1, 12_345, rows - 1, -1]) {
      const { text, ids } = items.at(i) as { text: string; ids: Int32Array };
      const number = i < 0 ? rows + i : i;
      expect(text).toBe(`${number} ${"x".repeat(1000)}`);
      expect(ids).toEqual(new Int32Array(1000).fill(number + 1));
    }
    expect(items.at(rows)).toBeUndefined();
    expect(readdirSync(folder)).toEqual(["big.jsonl"]); // the temporary file has no name any more
  });

  it("gives the very pairs and examples that memory would hold", async () => {
    const path = join(folder, "pairs.jsonl");
    const rows = Array.from({ length: 200 }, (_, i) => ({
      prompt: `the mill ${i}`,
      chosen: ` stands ${"by the river ".repeat(i % 7)}`,
      rejected: ` stood ${i}`,
      ...(i % 3 === 0 && { margin: i / 2 }),
      kind: { nested: [i, "ä€😀", null] },
    }));
    await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
    const options = { maxLength: 64, temporaryDir: folder };
    const held = await loadPreferences(path, tokenizer, options);
    const spilled = await loadPreferences(path, tokenizer, { ...options, memoryBudget: 5000 });
    expect([...spilled.pairs]).toEqual([...held.pairs]);
    const rated = rows.flatMap(({ prompt, chosen, rejected }) => [
      { prompt, completion: chosen, rating: 2 },
      { prompt, completion: rejected, rating: 1 },
    ]);
    const [a, b] = await Promise.all(
      [undefined, 5000].map((memoryBudget) =>
        loadPreferences(rated, tokenizer, { ...options, ...(memoryBudget && { memoryBudget }) }),
      ),
    );
    expect([...(b as typeof held).pairs]).toEqual([...(a as typeof held).pairs]);
    expect(b?.pairs.length).toBe(200);
    const texts = rows.map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
    const sft = { ...options, packing: true };
    expect([...(await loadDataset(texts, tokenizer, { ...sft, memoryBudget: 5000 })).examples]).toEqual([
      ...(await loadDataset(texts, tokenizer, sft)).examples,
    ]);
  });

  it("a store keeps what was put in, in order, on both sides of its budget, and may grow after it was read", () => {
    const row = fc.record({
      ids: fc.int32Array({ maxLength: 20 }),
      text: fc.string(),
      n: fc.option(fc.double()),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 30 }), fc.nat(6000), (rows, memoryBudget) => {
        const store = createRowStore<(typeof rows)[number]>({ memoryBudget, temporaryDir: folder });
        for (const [i, one] of rows.entries()) {
          store.push(one);
          expect(store.at(i)).toEqual(one);
          expect(store.at(-1)).toEqual(one);
        }
        expect([...store]).toEqual(rows);
        expect(store.held === 0 || store.held === rows.length).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it("that cannot be kept anywhere is refused in one line", () => {
    const store = createRowStore<string>({ memoryBudget: 10, temporaryDir: join(folder, "none") });
    expect(() => store.push("x".repeat(100))).toThrow(
      /none: rows that do not fit into memory cannot be written there/,
    );
  });
});

describe("a mixture", () => {
  const part = (name: string, n: number, weight?: number) => ({
    items: Array.from({ length: n }, (_, i) => `${name}${i}`),
    ...(weight !== undefined && { weight }),
  });
  const count = (list: Iterable<string>, name: string) =>
    [...list].filter((row) => row.startsWith(name)).length;

  it("without weights is one part after the other", () => {
    expect([...mixture([part("a", 2), part("b", 1)])]).toEqual(["a0", "a1", "b0"]);
  });

  it("has the proportions of the weights in every stretch, no row twice, and ends with its first part", () => {
    const size = fc.integer({ min: 1, max: 60 });
    const weight = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(size, weight, size, weight, fc.nat(99), (n, v, m, w, seed) => {
        const mixed = mixture([part("a", n, v), part("b", m, w)], { seed });
        const rows = [...mixed];
        expect(new Set(rows).size).toBe(rows.length);
        expect(rows.length).toBe(Math.floor(Math.min((n * (v + w)) / v, (m * (v + w)) / w) + 1e-9));
        for (let k = 1; k <= rows.length; k++)
          expect(Math.abs(count(rows.slice(0, k), "a") - (k * v) / (v + w))).toBeLessThanOrEqual(1);
        expect([...mixture([part("a", n, v), part("b", m, w)], { seed })]).toEqual(rows);
      }),
    );
  });

  it("takes other rows for another seed, and repeats the shorter part when it ends with the last", () => {
    const parts = [part("a", 50, 1), part("b", 5, 1)];
    expect([...mixture(parts, { seed: 1 })]).not.toEqual([...mixture(parts, { seed: 2 })]);
    const all = mixture(parts, { mixtureEnd: "all_exhausted" });
    expect([all.length, count(all, "a"), count(all, "b"), new Set(all).size]).toEqual([100, 50, 50, 55]);
  });

  it("of files is asked for by weights, each with a format of its own", async () => {
    const path = join(folder, "mixed.jsonl");
    await writeFile(path, '{"instruction":"i","chosen":"a","rejected":"b"}\n'.repeat(4));
    const rows = Array.from({ length: 9 }, (_, i) => ({ prompt: `p${i}`, chosen: "a", rejected: "b" }));
    const { pairs, formats } = await loadPreferences(
      [
        { path, weight: 1, format: "alpaca-preference" },
        { rows, weight: 2 },
      ],
      tokenizer,
      { maxLength: 500 },
    );
    expect(pairs.length).toBe(12);
    expect(formats).toEqual({ "alpaca-preference": 4, preference: 9 });
    const named = await loadPreferences([`${path}=1`, `${path}=3`], tokenizer, { maxLength: 500 });
    expect([named.pairs.length, named.rows]).toEqual([5, 8]);
    await expect(loadPreferences([{ path, weight: -1 }], tokenizer, { maxLength: 9 })).rejects.toThrow(
      "weight: a number above 0 is required for each part, got -1",
    );
  });
});
