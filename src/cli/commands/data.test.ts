import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../main.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "attune-data-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function run(...argv: string[]) {
  let out = "";
  let err = "";
  const streams = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
  };
  const code = await runCli(argv, { streams });
  return { code, out, err };
}

const rowsOf = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

const sizes =
  "--pretrain 30 --sft 20 --preferences 10 --rankings 5 --ratings 6 --prompts 8 --held-out 7".split(" ");

describe("attune data world", () => {
  it("writes a file of each kind of data with the rows asked for", async () => {
    const output = join(dir, "world");
    const { code, out } = await run("data", "world", "--output", output, ...sizes, "--json");
    expect(code).toBe(0);
    const { files } = JSON.parse(out) as { files: Record<string, { path: string; rows: number }> };
    expect(Object.fromEntries(Object.entries(files).map(([name, { rows }]) => [name, rows]))).toEqual({
      pretrain: 30,
      sft: 20,
      preferences: 10,
      rankings: 5,
      ratings: 6,
      prompts: 8,
      "held-out": 7,
      "sft-held-out": 7,
      "preferences-held-out": 7,
    });
    const [pair] = await rowsOf(join(output, "preferences.jsonl"));
    expect(Object.keys(pair ?? {})).toEqual(
      expect.arrayContaining([
        "prompt",
        "chosen",
        "rejected",
        "kind",
        "level_chosen",
        "level_rejected",
        "annotator",
      ]),
    );
  });

  it("replaces nothing unless told to, and writes the same again", async () => {
    const output = join(dir, "again");
    await run("data", "world", "--output", output, ...sizes);
    const before = await readFile(join(output, "sft.jsonl"), "utf8");
    const refused = await run("data", "world", "--output", output, ...sizes, "--seed", "7");
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/is there already.*--overwrite/);
    expect(await readFile(join(output, "sft.jsonl"), "utf8")).toBe(before);
    expect((await run("data", "world", "--output", output, ...sizes, "--overwrite")).code).toBe(0);
    expect(await readFile(join(output, "sft.jsonl"), "utf8")).toBe(before);
  });

  it("writes no file of a kind of which no rows were asked for", async () => {
    const output = join(dir, "few");
    await run("data", "world", "--output", output, ...sizes, "--pretrain", "0", "--rankings", "0");
    expect((await readdir(output)).sort()).not.toContain("pretrain.jsonl");
  });
});

describe("attune data synth", () => {
  const yaml = `
values:
  city: [Oslo, Lima]
templates:
  - prompt: What should I see in {city}?
    responses:
      high: Begin with the old town of {city}.
      medium: The old town.
      low: No idea.
`;
  it("makes pairs, rankings and ratings from YAML", async () => {
    const templates = join(dir, "templates.yaml");
    await writeFile(templates, yaml);
    for (const as of ["pairs", "rankings", "ratings"]) {
      const output = join(dir, `${as}.jsonl`);
      const { code, out } = await run(
        "data",
        "synth",
        "--templates",
        templates,
        "--n",
        "12",
        "--as",
        as,
        "--output",
        output,
        "--json",
      );
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ rows: 12, as });
      expect(await rowsOf(output)).toHaveLength(12);
    }
    const output = join(dir, "pairs.jsonl");
    expect((await run("data", "synth", "--templates", templates, "--output", output)).err).toMatch(
      /--overwrite/,
    );
    const two = await run(
      "data",
      "synth",
      "--templates",
      templates,
      "--levels",
      "high,low",
      "--output",
      output,
      "--overwrite",
    );
    expect(two.code).toBe(0);
    expect((await rowsOf(output)).every((row) => row.level_rejected === "low")).toBe(true);
  });

  it("says in one line what is wrong with the file", async () => {
    const broken = join(dir, "broken.yaml");
    await writeFile(broken, "values: {\n  a: [1\n");
    const none = await run(
      "data",
      "synth",
      "--templates",
      join(dir, "none.yaml"),
      "--output",
      join(dir, "x.jsonl"),
    );
    expect(none.code).toBe(1);
    expect(none.err).toMatch(/none\.yaml: there is no such file/);
    expect((await run("data", "synth", "--templates", broken, "--output", join(dir, "x.jsonl"))).err).toMatch(
      /broken\.yaml:\d/,
    );
    await writeFile(broken, "templates: []\n");
    const { code, err } = await run("data", "synth", "--templates", broken, "--output", join(dir, "x.jsonl"));
    expect(code).toBe(1);
    expect(err.trim().split("\n")).toHaveLength(1);
    expect(err).toMatch(/broken\.yaml: templates: templates/);
  });
});
