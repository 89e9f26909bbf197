/** What tests beside TRL share: its goldens, models whose weights are scaled, and the metrics of a few steps. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Pair } from "../data/pair.ts";
import { hostArray } from "../graph/index.ts";
import { loadModel, type Model, withParameters } from "../models/load.ts";
import { type Fit, fitRows } from "./loop/fit.ts";

type Figures = Readonly<Record<string, number>>;
export const golden = (name: string) => JSON.parse(readFileSync(`test/parity/golden/${name}.json`, "utf8"));
export const modelOf = (name: string) => loadModel(`test/parity/golden/models/${name}`);
export const source = { file: "row", line: 1 };

/** Steps as the scripts have them. */
export async function logged<Row>(
  task: Fit<Row>,
  learningRate: number,
  batchSize: number,
  maxSteps = 4,
): Promise<Figures[]> {
  const steps: Figures[] = [];
  await fitRows(
    task,
    { learningRate, batchSize, maxSteps, threads: 1 },
    { onStep: ({ metrics }) => void steps.push({ ...metrics }) },
  );
  return steps;
}

/** To 1e-4 in the first step; rounding grows as weights are updated. */
export function expectAlike(
  ours: readonly Figures[],
  theirs: readonly Figures[],
  names: readonly string[],
): void {
  expect(ours).toHaveLength(theirs.length);
  for (const [step, wanted] of theirs.entries())
    for (const name of names) {
      const [got, want] = [ours[step]?.[name] as number, wanted[name] as number];
      const tolerance = (step === 0 ? 1e-4 : 1e-3) * Math.max(1, Math.abs(want));
      expect(Math.abs(got - want), `${name} of step ${step + 1}: ${got}, TRL ${want}`).toBeLessThan(
        tolerance,
      );
    }
}

export const pairOf = ({
  prompt,
  chosen,
  rejected,
}: Record<"prompt" | "chosen" | "rejected", number[]>): Pair => ({
  prompt: Int32Array.from(prompt),
  chosen: Int32Array.from(chosen),
  rejected: Int32Array.from(rejected),
  texts: { prompt: "", chosen: "", rejected: "" },
  row: {},
  source,
});

export const scaledBy = (scale: number, model: Model): Model =>
  withParameters(
    model,
    Object.fromEntries(
      Object.entries(model.parameters).map(([name, { shape, data }]) => [
        name,
        hostArray(
          "float32",
          shape,
          Float32Array.from(data as Float32Array, (x) => x * scale),
        ),
      ]),
    ),
  );

/** TRL's options under our names. */
export const optionsOf = (options: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options).map(([key, value]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
