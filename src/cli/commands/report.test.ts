import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeFixtureRun } from "../../runs/report/run.fixture.ts";
import { runCli } from "../main.ts";
import { register } from "./report.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "attune-cli-report-"));
  await writeFixtureRun(dir, { prompts: 5 });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function attune(...args: string[]) {
  const said = { out: "", err: "" };
  const streams = {
    stdout: { write: (text: string) => (said.out += text) },
    stderr: { write: (text: string) => (said.err += text) },
  };
  const code = await runCli(["report", ...args], { registrations: [register], streams });
  return { code, ...said };
}

describe("attune report", () => {
  it("writes the page into the run's folder, and says where", async () => {
    const { code, out, err } = await attune(dir);
    expect([code, out, err]).toEqual([0, `the report of 5 stages is in ${join(dir, "report.html")}\n`, ""]);
    expect(await readFile(join(dir, "report.html"), "utf8")).toMatch(/^<!doctype html>/);
  });

  it("writes it elsewhere, gives one JSON value, and warns of what is left out", async () => {
    const output = join(dir, "elsewhere.html");
    await writeFile(join(dir, "stages", "ppo", "evaluation.json"), "{");
    const { code, out, err } = await attune(dir, "--output", output, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      path: output,
      stages: ["base", "sft", "reward", "ppo", "dpo"],
      notes: [expect.stringContaining("evaluation.json is not JSON")],
    });
    expect(err).toMatch(/^warning: left out: .*evaluation\.json is not JSON, it was cut short or damaged\n$/);
  });

  it("of a folder that is no run is one line and exit code 1; without a folder wrong usage", async () => {
    const { code, err } = await attune(tmpdir());
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^error: .*the folder of a run is required[^\n]*\n$/),
    ]);
    expect((await attune()).code).toBe(2);
  });
});
