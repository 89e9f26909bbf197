/** What 8-bit projections save of a frozen model's memory, in a process of its own. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

function measured(int8: boolean): { before: number; after: number; logProbs: number[][] } {
  const size = { hiddenSize: 512, numLayers: 8, vocabSize: 2000, int8 };
  const child = spawnSync(
    process.execPath,
    [
      ...["--expose-gc", "--import", at("../../scripts/register-ts.js")],
      ...[at("./frozen-memory.fixture.ts"), JSON.stringify(size)],
    ],
    { encoding: "utf8" },
  );
  expect(child.stderr).toBe("");
  return JSON.parse(child.stdout);
}

it("a reference in 8 bits takes less than 0.7 times the memory, and says nearly the same", () => {
  const [whole, small] = [measured(false), measured(true)];
  const sizes = JSON.stringify([whole, small].map(({ before, after }) => [before, after]));
  expect(small.after - small.before, sizes).toBeLessThan(0.7 * (whole.after - whole.before));
  const off = whole.logProbs.flatMap((row, i) =>
    row.map((x, t) => Math.abs(x - (small.logProbs[i]?.[t] as number))),
  );
  expect(Math.max(...off)).toBeGreaterThan(0);
  expect(Math.max(...off)).toBeLessThan(0.3);
}, 120_000);
