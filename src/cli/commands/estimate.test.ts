import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Estimate } from "../../recipe/index.ts";
import { rows, tinyModel } from "../../train/tiny.fixture.ts";
import { commands, runCli } from "../main.ts";
import { tableOf, warningOf } from "./estimate-run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-command-estimate-"));
  await tinyModel().save(join(folder, "model"));
  await writeFile(join(folder, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);

it("the command takes fields as attune run does, and prints one JSON value", async () => {
  const file = at("recipe.yaml");
  await writeFile(
    file,
    JSON.stringify({ stages: { sft: { model: at("model"), data: at("rows.jsonl"), batch_size: 4 } } }),
  );
  let [out, text] = ["", ""];
  const streams = {
    stdout: { write: (piece: string) => (out += piece) },
    stderr: { write: (piece: string) => (text += piece) },
  };
  const argv = ["estimate", file, "--sft.max_steps", "9", "--no-probe", "--json", "--threads", "1"];
  expect([await runCli(argv, { registrations: commands, streams }), text.includes("warning")]).toEqual([
    0,
    false,
  ]);
  expect(JSON.parse(out)).toMatchObject({ name: "recipe", stages: [{ name: "sft", steps: 9 }] });
  const wrong = ["estimate", file, "--sft.max_step", "9"];
  expect(await runCli(wrong, { registrations: commands, streams })).toBe(2);
  expect(text).toMatch(/max_steps/);
});

it("the table fits a narrow terminal, and leaves out what was not measured", () => {
  const stage = { name: "sft", trainer: "sft", steps: 120, memory: 512e6 };
  const timed: Estimate = {
    stages: [{ ...stage, step_seconds: 0.25, seconds: 33 }],
    memory: 512e6,
    available: 16e9,
    seconds: 33,
  };
  const lines = tableOf(timed);
  expect(lines[0]?.split(/ {2,}/)).toEqual(["stage", "memory", "steps", "a step", "time"]);
  expect(lines[1]?.split(/ {2,}/)).toEqual(["sft", "512 MB", "120", "250 ms", "33 s"]);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(60);
  const { seconds: _, ...untimed } = timed;
  expect(tableOf({ ...untimed, stages: [stage] })[0]).not.toContain("time");
});

it("more memory than is free is a warning with what to do", () => {
  const run = { stages: [], memory: 20e9 };
  expect(warningOf({ ...run, available: 16e9 })).toMatch(
    /about 20\.0 GB, 16\.0 GB are free; lower batch_size/,
  );
  expect(warningOf({ ...run, available: 20e9 })).toBeUndefined();
});
