import { expect, it } from "vitest";
import { ppo } from "./ppo.ts";
import { tinyModel } from "./tiny.fixture.ts";

const model = tinyModel();
const prompts = ["The cat", "A dog runs", "The hen sleeps in", "A"].map((prompt) => ({ prompt }));

it("raises a rule reward within seconds", async () => {
  const scores: number[] = [];
  await ppo(
    {
      model,
      prompts,
      reward: (batch) =>
        batch.map(({ completionIds = [] }) => completionIds.filter((id) => id < 70).length / 8),
      batchSize: 32,
      responseLength: 8,
      maxSteps: 8,
      learningRate: 3e-2,
      klCoef: 0.001,
    },
    { onStep: ({ metrics }) => void scores.push(metrics["objective/scores"] as number) },
  );
  expect(scores[0]).toBeLessThan(0.4);
  expect(scores.at(-1)).toBeGreaterThan(0.6);
});
