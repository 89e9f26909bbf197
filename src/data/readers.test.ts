import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RawRow, type ReadOptions, readRawRows } from "./node-files.ts";

const golden = (name: string) =>
  fileURLToPath(new URL(`../../test/parity/golden/tables/${name}`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-readers-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, name.endsWith(".gz") ? gzipSync(content) : content);
  return path;
}

async function read(path: string, options: ReadOptions = {}): Promise<RawRow[]> {
  const rows: RawRow[] = [];
  for await (const row of readRawRows(path, options)) rows.push(row);
  return rows;
}

const values = async (path: string) => (await read(path)).map(({ value }) => value);

describe("Parquet", () => {
  it.each(["pairs.parquet", "pairs-gzip.parquet"])(
    "%s of pyarrow reads as the rows that were written",
    async (name) => {
      const rows = await read(golden(name));
      expect(rows.map(({ source }) => source.line)).toEqual([1, 2, 3, 4, 5]);
      expect(rows[3]?.value).toEqual({
        prompt: [{ role: "user", content: "How many bridges has ward 3?" }],
        chosen: [{ role: "assistant", content: "Ward 3 has 4 bridges." }],
        rejected: [{ role: "assistant", content: 'Ünknown, "many" 🌉' }],
        margin: 1.5,
        votes: 2 ** 40 + 3,
      });
      expect(((rows[2] as RawRow).value as { margin: unknown }).margin ?? null).toBeNull();
    },
  );

  it("a file that is none says so", async () => {
    await expect(read(await file("no.parquet", "not at all"))).rejects.toThrow(
      /no\.parquet: cannot be read as Parquet/,
    );
    await expect(read(join(folder, "none.parquet"))).rejects.toThrow(/none\.parquet: no such file/);
  });
});

describe("CSV", () => {
  it("of Python reads with quotes, line breaks, a byte-order mark, and the line where each row begins", async () => {
    const rows = await read(golden("pairs.csv"));
    expect(rows.map(({ source }) => source.line)).toEqual([2, 4, 6, 8, 10]);
    expect(rows[1]?.value).toEqual({
      prompt: "How many bridges has ward 1?",
      chosen: "Ward 1 has 2 bridges.",
      rejected: 'Ünknown, "many" 🌉\nand a second line',
      margin: "0.5",
      votes: String(2 ** 40 + 1),
    });
  });

  it("tells rows with too few values and goes on; tabs separate in .tsv, also gzipped", async () => {
    const bad: string[] = [];
    const onBadRow: ReadOptions["onBadRow"] = ({ line }, reason) => bad.push(`${line}: ${reason}`);
    const rows = await read(await file("short.csv", "a,b\n1,2\n3\n4,5\n"), { onBadRow });
    expect(rows.map(({ value }) => value)).toEqual([
      { a: "1", b: "2" },
      { a: "4", b: "5" },
    ]);
    expect(bad).toEqual([expect.stringMatching(/^3: a value for each column is required, got 1/)]);
    expect(await values(await file("tabs.tsv.gz", "a\tb\n1,1\t2\n"))).toEqual([{ a: "1,1", b: "2" }]);
  });

  it("keeps every value, whatever stands in it", async () => {
    const cell = fc.string({ unit: "grapheme", maxLength: 12 }).map((s) => s.replace(/\r/g, ""));
    const table = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
        const text = ["a,b", ...rows.map((row) => row.map(quoted).join(","))].join("\n");
        expect(await values(await file("fuzz.csv", text))).toEqual(rows.map(([a, b]) => ({ a, b })));
      }),
      { numRuns: 40 },
    );
  });
});

describe("JSON arrays", () => {
  it("come out as JSON.parse reads them, in pieces of any size", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 6 }), async (rows) => {
        const text = JSON.stringify(rows, null, 2);
        expect(await values(await file("fuzz.json", text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 40 },
    );
    const long = Array.from({ length: 5000 }, (_, i) => ({ i, text: "ä€😀".repeat(20) }));
    expect(await values(await file("long.json", JSON.stringify(long)))).toEqual(long);
  });

  it.each([
    ["an object", '{"a": 1}', /a JSON array of rows is required/],
    ["a broken array", '[{"a": 1}, {"a" 2}]', /not JSON: .*after row 1; one row a line is a \.jsonl file/],
    ["an array that is cut short", '[{"a": 1}, {"a":', /not JSON: the array is not closed after row 1/],
    ["an empty array", "[]", /has no rows/],
    ["an empty file", "", /has no rows/],
  ])("%s is refused in words of ours", async (_, text, message) => {
    await expect(read(await file("bad.json", text))).rejects.toThrow(message);
  });
});

it("one line of many pieces is joined once, and lines end as any system ends them", async () => {
  const long = "x".repeat(3_000_000);
  const started = performance.now();
  const rows = await values(await file("long.jsonl", `{"text":"${long}"}\r\n{"text":"y"}\r\n`));
  expect(rows).toEqual([{ text: long }, { text: "y" }]);
  expect(performance.now() - started).toBeLessThan(3000);
});
