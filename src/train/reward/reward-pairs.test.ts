/** A reward model on real pairs, when they are here: its loss falls, and it is better than chance on held-out ones. */
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { readRawRows } from "../../data/node-files.ts";
import { loadModel } from "../../models/load.ts";
import { reward } from "../reward.ts";

const model = "../shared/data/tinystories-656k";
const data = "../shared/data/hh-single-turn/harmless-train_gt.jsonl.gz";
const isHere = [model, data].every((path) => existsSync(path));

it.skipIf(!isHere)(
  "some steps on real pairs lower the loss of a small reward model",
  async () => {
    const rows: Record<string, unknown>[] = [];
    for await (const { value } of readRawRows(data, {}))
      if (rows.push(value as Record<string, unknown>) === 800) break;
    const losses: number[] = [];
    const { report, metrics } = await reward(
      {
        model: await loadModel(model),
        data: rows.slice(0, 640),
        evalData: rows.slice(640),
        onBadRow: "skip",
        maxLength: 128,
        batchSize: 16,
        learningRate: 1e-3,
        loadBestModelAtEnd: false,
        evalSteps: 40,
        threads: 2,
      },
      { onStep: ({ metrics }) => void losses.push(metrics.loss as number) },
    );
    const mean = (part: readonly number[]) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(mean(losses.slice(-10))).toBeLessThan(mean(losses.slice(0, 10)) - 0.01);
    expect(report?.accuracy).toBeGreaterThan(0.5);
    expect(report?.std).toBeCloseTo(1, 1);
    expect(metrics.eval_accuracy).toBeCloseTo(report?.accuracy as number, 1);
  },
  120_000,
);
