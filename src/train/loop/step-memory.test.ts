/** What options save of a train step's memory, as the peak of a process of its own. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { StepMemory } from "./step-memory.fixture.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const patience = 120_000; // two processes, on a machine that may be busy

function measured(size: StepMemory): Record<"before" | "peak" | "loss" | "grad_norm", number> {
  const register = at("../../../scripts/register-ts.js");
  const child = spawnSync(
    process.execPath,
    ["--import", register, at("./step-memory.fixture.ts"), JSON.stringify(size)],
    { encoding: "utf8" },
  );
  expect(child.stderr).toBe("");
  return JSON.parse(child.stdout);
}

/** The same step with an option: same loss and gradient norm, and at most `share` of the step's own memory. */
function expectLess(size: StepMemory, options: Partial<StepMemory>, share: number): void {
  const [plain, less] = [measured(size), measured({ ...size, ...options })];
  expect(less.loss).toBeCloseTo(plain.loss, 5);
  expect(less.grad_norm / plain.grad_norm).toBeCloseTo(1, 4);
  expect(less.peak - less.before, `${JSON.stringify(plain)} and ${JSON.stringify(less)}`).toBeLessThan(
    share * (plain.peak - plain.before),
  );
}

describe("a train step", () => {
  it(
    "takes less than half the memory with gradient checkpointing, of a deep model on long rows",
    () =>
      expectLess(
        { rows: 4, length: 384, vocabSize: 64, numLayers: 12 },
        { gradientCheckpointing: true },
        0.5,
      ),
    patience,
  );

  it(
    "takes less than half the memory with logits in chunks, of long rows and a large vocabulary",
    () =>
      expectLess({ rows: 8, length: 256, vocabSize: 12_000, numLayers: 1 }, { logitsChunkSize: 128 }, 0.5),
    patience,
  );
});
