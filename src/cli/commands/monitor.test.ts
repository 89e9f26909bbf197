import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../main.ts";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

/** The proxy rises; the gold reward rises too, or falls. */
const course = (steps: number, falls: boolean) =>
  Array.from({ length: steps }, (_, k) => ({
    step: k + 1,
    proxy: 0.1 * k + 0.01 * (k % 2),
    kl: (0.05 * k) ** 2,
    gold: (falls ? -0.03 * k : 0.03 * k) + 0.01 * (k % 3),
    length: 10 + (k % 2),
    repetition: 0,
    duplicates: 0,
  }));

async function watched(name: string, lines: readonly object[]): Promise<void> {
  await mkdir(at(name), { recursive: true });
  await writeFile(at(name, "monitor.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-monitor-"));
  await watched("clean", course(40, false));
  await watched("hacked", course(40, true));
  await watched("short", course(15, false));
  await mkdir(at("empty"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function monitor(...argv: string[]) {
  const out = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      out[name] += text;
    },
  });
  const streams = { stdout: stream("stdout"), stderr: stream("stderr") };
  const code = await runCli(["monitor", ...argv], { streams });
  return { code, ...out };
}

describe("attune monitor", () => {
  it("prints how often each alarm is false on clean runs, and right on hacked ones", async () => {
    const { stdout, code } = await monitor("--clean", at("clean"), "--hacked", at("hacked"), "--json");
    expect(code).toBe(0);
    const { clean, hacked } = JSON.parse(stdout);
    expect(clean.rates.gold).toMatchObject({ of: 1, runs: 0 });
    expect(hacked.rates.gold).toMatchObject({ of: 1, runs: 1, first: 16 });
    expect((await monitor("--clean", at("clean"))).stdout).toContain("0 % of runs");
  });

  it("knows nothing of a signal that was not recorded, nor of a run that is too short for an alarm", async () => {
    const { clean } = JSON.parse((await monitor("--clean", at("clean"), "--json")).stdout);
    expect(clean.rates).toMatchObject({ disagreement: null, entropy: null, any: { runs: 0 } });
    const { stdout } = await monitor("--clean", at("clean"));
    expect(stdout).toMatch(/^disagreement +not known$/m);
    const short = JSON.parse((await monitor("--clean", at("short"), "--json")).stdout).clean;
    expect(new Set(Object.values(short.rates))).toEqual(new Set([null]));
    expect((await monitor("--clean", at("short"))).stdout).not.toContain("%");
  });

  it("takes the rate over the runs that could have raised the alarm, and says how many", async () => {
    const argv = ["--hacked", at("hacked"), "--hacked", at("short")];
    const { hacked } = JSON.parse((await monitor(...argv, "--json")).stdout);
    expect(hacked).toMatchObject({ runs: 2, rates: { gold: { of: 1, runs: 1 } } });
    expect((await monitor(...argv)).stdout).toMatch(/^gold +100 % of 1 run,/m);
  });

  it("refuses a run as both clean and hacked, also below another folder", async () => {
    for (const hacked of [at("clean"), folder]) {
      const { code, stderr, stdout } = await monitor("--clean", at("clean"), "--hacked", hacked);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain("below both --clean and --hacked");
    }
  });

  it("says which folder no run was watched in, and that one is required", async () => {
    expect(await monitor("--clean", at("empty"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no monitor.jsonl"),
    });
    expect((await monitor()).code).toBe(2);
  });
});
