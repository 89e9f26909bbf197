import { expect, it } from "vitest";
import { createEngine } from "../graph/node.ts";
import { bestIndex, bestOfKl, bestOfN } from "./best-of-n.ts";
import { tinyModel } from "./tiny.fixture.ts";

it("takes the response that scores best, of those that ended, and says what all scored", async () => {
  const engine = await createEngine({ threads: 1 });
  const model = tinyModel();
  const prompts = ["The cat", "A dog", "The hen"].map((text) => ({
    text,
    ids: (model.tokenizer as NonNullable<typeof model.tokenizer>).encode(text),
  }));
  const run = (samples: number, batchSize = 2) =>
    bestOfN({
      model,
      prompts,
      engine,
      samples,
      batchSize,
      responseLength: 4,
      terminatedOnly: false,
      reward: (batch) => batch.map(({ completion }) => completion.length),
    });
  const rows = await run(6);
  expect(rows.map(({ prompt }) => prompt)).toEqual(["The cat", "A dog", "The hen"]);
  for (const { completion, score, scores } of rows) {
    expect(scores).toHaveLength(6);
    expect(score).toBe(Math.max(...scores));
    expect(completion).toHaveLength(score);
  }
  await expect(run(0)).rejects.toThrow(/num_samples: a whole number of at least 1 is required, got 0/);
  await engine.dispose();

  expect(bestIndex([1, 3, 2], [true, false, true])).toBe(2);
  expect(bestIndex([1, 3, 2], [true, false, true], false)).toBe(1);
  expect(bestIndex([1, 3, 3], [false, false, false])).toBe(1);
  expect(bestOfKl(1)).toBe(0);
  expect(bestOfKl(4)).toBeCloseTo(Math.log(4) - 0.75, 12);
});
