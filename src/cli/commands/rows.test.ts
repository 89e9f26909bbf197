/** The commands that make rows, `attune pairs` and `attune best-of-n`: a folder of their own, and nothing replaced unasked. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { preferences, tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-rows-"));
  await tinyModel().save(at("base"));
  const prompts = preferences.slice(0, 4).map(({ prompt }) => `${JSON.stringify({ prompt })}\n`);
  await writeFile(at("prompts.jsonl"), prompts.join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function attune(...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const code = await runCli(
    [
      ...argv,
      ...["--model", at("base"), "--data", at("prompts.jsonl"), "--reward", "rule:length"],
      ...["--response-length", "6", "--no-terminated-only", "--threads", "1", "--quiet"],
    ],
    {
      streams: {
        stdout: { write: (text: string) => (stdout += text) },
        stderr: { write: (text: string) => (stderr += text) },
      },
    },
  );
  return { code, stdout, stderr };
}

it.each([
  ["pairs", "pairs.jsonl", ["prompt", "chosen", "rejected"]],
  ["best-of-n", "best.jsonl", ["prompt", "completion"]],
])(
  "attune %s writes its rows, and nothing else, into a new folder; twice only with --overwrite",
  { timeout: 120_000 },
  async (command, file, columns) => {
    const output = ["--output", at(command, "deep")];
    expect(await attune(command, ...output)).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(at(command, "deep"))).toEqual([file]);
    const text = await readFile(at(command, "deep", file), "utf8");
    for (const line of text.trim().split("\n"))
      expect(Object.keys(JSON.parse(line))).toEqual(expect.arrayContaining(columns));

    const twice = await attune(command, ...output);
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringContaining(`${file} is there already`) });
    expect((await attune(command, ...output, "--overwrite")).code).toBe(0);
    expect(await readFile(at(command, "deep", file), "utf8")).toBe(text);
  },
);
