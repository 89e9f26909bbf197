/** Goldens of tiny models (test/parity/golden), and comparison up to a tolerance. */
import { join } from "node:path";
import { expect } from "vitest";
import { type HostArray, hostArray } from "../../graph/array.ts";
import { checkTensors, readCheckpoint, readTensors } from "../checkpoint/checkpoint.ts";
import type { ModelConfig } from "../config/config.ts";
import { parameterShapes } from "../model.ts";

export const goldenFolder = "test/parity/golden";

export interface GoldenModel {
  readonly config: ModelConfig;
  readonly parameters: Record<string, HostArray>;
  readonly golden: Record<string, HostArray>;
}

export async function goldenModel(name: string): Promise<GoldenModel> {
  const folder = join(goldenFolder, "models", name);
  const { config, tensors } = await readCheckpoint(folder);
  return {
    config,
    parameters: checkTensors(parameterShapes(config), tensors, { source: folder }),
    golden: await readTensors(join(folder, "golden.safetensors")),
  };
}

/** The array of a golden; fails with the names that are there. */
export function arrayOf(golden: Readonly<Record<string, HostArray>>, name: string): HostArray {
  const array = golden[name];
  if (!array) throw new Error(`no ${name} among ${Object.keys(golden).join(", ")}`);
  return array;
}

/**
 * Every element within `tolerance` of the largest: two orders of summation in float32 differ by some 1e-7 of the terms,
 * and a sum that nearly cancels inherits that from its terms, not from itself. `counts` leaves elements out.
 */
export function expectClose(
  what: string,
  got: HostArray,
  wanted: HostArray,
  { tolerance = 2e-5, counts }: { tolerance?: number; counts?: (index: number) => boolean } = {},
): void {
  expect(
    got.shape.reduce((a, b) => a * b, 1),
    `${what}: size`,
  ).toBe(wanted.data.length);
  let [worst, largest] = [0, 1e-3];
  for (const [i, value] of (wanted.data as Float32Array).entries()) {
    if (counts && !counts(i)) continue;
    const apart = Math.abs(Number(got.data[i]) - value);
    worst = Number.isNaN(apart) ? Number.POSITIVE_INFINITY : Math.max(worst, apart);
    largest = Math.max(largest, Math.abs(value));
  }
  expect(worst / largest, what).toBeLessThan(tolerance);
}

/** Labels as transformers takes them, under their own token, moved under the token that predicts them. */
export function shifted({ shape, data }: HostArray): HostArray {
  const [rows, length] = shape as [number, number];
  const at = (row: number, t: number) => (t + 1 < length ? Number(data[row * length + t + 1]) : -100);
  return hostArray(
    "int64",
    shape,
    Array.from({ length: rows * length }, (_, i) => at(Math.floor(i / length), i % length)),
  );
}
