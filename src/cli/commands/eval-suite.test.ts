/** `attune eval suite` as it runs: files, what is used again, what is refused. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { preferences, tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const suite = (more: object = {}) => ({
  models: { one: at("one"), two: at("two") },
  prompts: at("prompts.jsonl"),
  max_new_tokens: 4,
  rewards: { length: "rule:length" },
  metrics: ["reward", "win_rate", "diversity"],
  ...more,
});
const write = async (name: string, value: unknown) => {
  await writeFile(at(name), typeof value === "string" ? value : JSON.stringify(value));
  return at(name);
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-eval-suite-"));
  await tinyModel(1).save(at("one"));
  await tinyModel(2).save(at("two"));
  const prompts = preferences.slice(0, 4).map(({ prompt }) => `${JSON.stringify({ prompt })}\n`);
  await write("prompts.jsonl", prompts.join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function attune(...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const code = await runCli([...argv, "--threads", "1"], {
    streams: {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: (text: string) => (stderr += text) },
    },
  });
  return { code, stdout, stderr };
}

describe("attune eval suite", { timeout: 120_000 }, () => {
  it("measures every model into one JSON and one page, and the second time measures nothing", async () => {
    const file = await write("good.yaml", suite());
    const run = () => attune("eval", "suite", file, "--output", at("out"), "--json");
    const first = await run();
    expect(first.code).toBe(0);
    const found = JSON.parse(first.stdout);
    expect(found.models.map(({ name }: { name: string }) => name)).toEqual(["one", "two"]);
    expect(found.reused).toBe(0);
    expect(JSON.parse(await readFile(at("out", "suite.json"), "utf8")).models).toEqual(found.models);
    expect(await readFile(found.page, "utf8")).toContain('<section id="models"');

    const { rows, reused, models } = JSON.parse((await run()).stdout);
    expect([reused, models]).toEqual([rows, found.models]);
    const short = await write("short.yaml", suite({ name: "good", output_dir: at("out") }));
    const shorter = await attune("eval", short);
    expect(shorter.stdout).toMatch(/2 models; (\d+) of \1 rows from an earlier run/);
  });

  it("says what is wrong in one line, with exit code 1 for the file and 2 for the command line", async () => {
    const cases: [unknown, RegExp][] = [
      [suite({ promts: "x" }), /promts is not a key; did you mean prompts\?/],
      [suite({ rewards: { length: "rule:lenght" } }), /lenght.*did you mean length\?/],
      [suite({ models: { one: at("none") } }), /none.*no such folder/],
      [suite({ prompts: at("none.jsonl") }), /none\.jsonl: no such file/],
      [suite({ metrics: ["win_rat"] }), /win_rate/],
      ["models: [", /bad\.yaml: /],
    ];
    for (const [value, message] of cases) {
      const { code, stderr } = await attune("eval", "suite", await write("bad.yaml", value), "--quiet");
      expect(stderr).toMatch(message);
      expect(stderr.trim().split("\n"), stderr).toHaveLength(1);
      expect(code, stderr).toBe(1);
    }
    expect(await attune("eval", "suite", at("nothing.yaml"))).toMatchObject({ code: 1 });
    expect(await attune("eval")).toMatchObject({ code: 2 });
  });
});
