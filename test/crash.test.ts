/** Processes that are killed in the middle of a run: no checkpoint is lost, and the run ends in the bits of one that was not. */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "attune/models";
import { afterAll, beforeAll, expect, it } from "vitest";
import { uniform } from "../src/graph/random.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-crash-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly killed: boolean;
  readonly output: string;
}

/** Runs the fixture; `until` may kill it when it has printed something. */
function run(dir: string, { crashAt, until }: { crashAt?: number; until?: string } = {}) {
  const args = ["--import", "./scripts/register-ts.js", "test/crash.fixture.ts", dir];
  const child = spawn(process.execPath, [...args, ...(crashAt ? [String(crashAt)] : [])]);
  return new Promise<Ended>((resolve) => {
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        output += chunk;
        if (until && output.includes(until)) child.kill("SIGKILL");
      });
    child.on("close", (_, signal) => resolve({ killed: signal === "SIGKILL", output }));
  });
}

const checkpoints = async (dir: string): Promise<number[]> =>
  (await readdir(join(dir, "checkpoints")).catch(() => []))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);

const lines = async (dir: string) =>
  (await readFile(join(dir, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

it("a run that is killed at three seeded changes of its folder and three random moments loses no checkpoint, and ends in the bits of one that was not", async () => {
  const whole = join(folder, "straight");
  const changes = Number(/changes (\d+)/.exec((await run(whole)).output)?.[1]);
  expect(changes).toBeGreaterThan(100);

  const dir = join(folder, "killed");
  let last = 0;
  const expectProgress = async ({ killed, output }: Ended) => {
    expect(killed, output).toBe(true);
    const now = (await checkpoints(dir)).at(-1) ?? 0;
    expect(now, output).toBeGreaterThanOrEqual(last);
    last = now;
  };
  for (let i = 0; i < 3; i++)
    await expectProgress(await run(dir, { crashAt: 1 + Math.floor(uniform(11, i) * (changes / 5)) }));
  for (let i = 0; i < 3; i++)
    await expectProgress(await run(dir, { until: `step ${last + 1 + Math.floor(2 * uniform(12, i))}` }));

  const { killed, output } = await run(dir);
  expect(killed, output).toBe(false);
  expect((await loadModel(dir)).parameters).toEqual((await loadModel(whole)).parameters);
  expect(await lines(dir)).toEqual(await lines(whole));
  expect((await readdir(dir)).sort()).toEqual((await readdir(whole)).sort());
}, 60_000);
