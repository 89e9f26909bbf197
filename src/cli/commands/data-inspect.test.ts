import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../main.ts";
import { register } from "./data.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-inspect-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function inspect(...args: string[]) {
  let [stdout, stderr] = ["", ""];
  const streams = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  };
  const code = await runCli(["data", "inspect", ...args], { registrations: [register], streams });
  return { code, stdout, stderr };
}

async function file(name: string, rows: readonly object[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

describe("attune data inspect", () => {
  it("says what the rows are, how long, which are bad, and shows a pair as it is trained on", async () => {
    const good = { prompt: "Where is the mill?", chosen: "By the river.", rejected: "No.", source: "a" };
    const path = await file("pairs.jsonl", [
      good,
      { ...good, rejected: good.chosen },
      { ...good, margin: 2 },
    ]);
    const { code, stdout } = await inspect(path);
    expect(code).toBe(0);
    for (const line of [
      "format: preference (2)",
      "columns: prompt, chosen, rejected, source, margin (33 %)",
      /data: 2 pairs from 3 rows; \d+ tokens/,
      "the chosen response is the longer one in 100 % of the pairs; ties: 0; with a margin: 50 %",
      "left out: 1 row",
      /pairs\.jsonl:2: chosen and rejected are the same/,
      "Where is the mill?>>By the river.<|im_end|><<",
      "Where is the mill?>>No.<|im_end|><<",
    ])
      expect(stdout).toMatch(line);
    const json = JSON.parse((await inspect(path, "--json")).stdout);
    expect(json).toMatchObject({
      kind: "preference",
      unit: "bytes",
      formats: { preference: 2 },
      rows: 3,
      examples: 2,
      pairs: { chosen: { max: "By the river.".length + 1 } },
    });
    expect(json.skipped).toHaveLength(1);
  });

  it("looks at texts, prompts and labelled completions as their trainers would", async () => {
    const texts = await file("texts.jsonl", [{ messages: [{ role: "user", content: "hi" }] }]);
    expect((await inspect(texts)).stdout).toMatch(
      /format: messages \(1\)[\s\S]*the end-of-text token is a label in 100 %/,
    );
    const prompts = await file("prompts.jsonl", [{ prompt: "a" }, { prompt: "b" }]);
    expect((await inspect(prompts)).stdout).toMatch(/data: 2 prompts from 2 rows[\s\S]*first prompt:/);
    const labels = await file("labels.jsonl", [{ prompt: "a", completion: "b", label: true }]);
    expect((await inspect(labels)).stdout).toContain("desirable: 100 % of the completions");
  });

  it.each([
    [[], 2, /missing required argument 'file'/],
    [["none.jsonl"], 1, /none\.jsonl: no such file/],
    [["--format", "hhh", "x.jsonl"], 1, /format hhh is unknown; did you mean hh\?/],
  ])("%j ends with %i and one line", async (args, code, message) => {
    const ended = await inspect(...args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toMatch(message);
  });

  it("rows of no known format are refused with their columns", async () => {
    const { code, stderr } = await inspect(await file("odd.jsonl", [{ foo: 1, bar: 2 }]));
    expect(code).toBe(1);
    expect(stderr).toMatch(/no row has the columns of a known format, got foo, bar/);
  });
});
