import { afterAll, beforeAll, expect, it } from "vitest";
import type { Pair } from "../../data/pair.ts";
import { loadPreferences } from "../../data/preferences.ts";
import { createLogProbs } from "../../evaluate/log-probs.ts";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, type LocalEngine, unflatten } from "../../graph/index.ts";
import { parameterSpecs } from "../../models/model.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { reward } from "../reward.ts";
import { preferences, tinyModel } from "../tiny.fixture.ts";
import { collateRewards, layoutOf, rewardSpec } from "./reward-batch.ts";
import { rewardLoss } from "./reward-loss.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

it("adds the mean over pairs of the nats per token that the language model gives the chosen responses", async () => {
  const language = tinyModel();
  const { config, parameters } = withScoreHead(language, { seed: 1 });
  const { pairs } = await loadPreferences(preferences.slice(0, 7), language.tokenizer as never, {
    maxLength: 64,
  });
  const list = [...pairs] as Pair[];
  const layout = { ...layoutOf(config), language: true };
  const run = async (sftCoefficient: number) => {
    const program = compile(
      (params, batch) => {
        const { loss, metrics } = rewardLoss(config, { sftCoefficient })(params, batch);
        return { loss, ...metrics };
      },
      [
        parameterSpecs(config),
        { ...rewardSpec(layout), num_items: { dtype: "float32", shape: [] } },
      ] as const,
    );
    const batch = { ...collateRewards(list, layout), num_items: hostArray("float32", [], [list.length]) };
    const out = await engine.run(await engine.load(program), [unflatten(parameters), batch]);
    return Object.fromEntries(
      Object.entries(out).map(([name, x]) => [name, Number((x as HostArray).data[0])]),
    );
  };
  const found = await run(0.3);
  const logProbs = await createLogProbs(engine, language.config, language.parameters);
  const rows = await logProbs.run(list.map(({ prompt, chosen }) => ({ promptIds: prompt, ids: chosen })));
  const nats = rows.map((row) => -row.reduce((a, b) => a + b, 0) / row.length);
  const mean = nats.reduce((a, b) => a + b, 0) / nats.length;
  expect(found.sft_loss).toBeCloseTo(mean, 4);
  expect(found.loss).toBeCloseTo(((await run(0)).loss as number) + 0.3 * mean, 4);
});

it("leaves a reward model whose hidden states still speak", async () => {
  const nllAfter = async (sftCoefficient: number) => {
    const steps: number[] = [];
    await reward(
      {
        engine,
        model: tinyModel(),
        data: preferences,
        sftCoefficient,
        learningRate: 3e-3,
        numEpochs: 8,
        batchSize: 8,
      },
      { onStep: ({ metrics }) => void steps.push(metrics.sft_loss as number) },
    );
    return steps;
  };
  const steps = await nllAfter(1);
  expect(steps.at(-1)).toBeLessThan(0.8 * (steps[0] as number));
  expect((await nllAfter(0))[0]).toBeUndefined();
});

it("is refused where there is nothing to predict with", async () => {
  const options = { engine, model: tinyModel(), data: preferences, sftCoefficient: 0.1 };
  await expect(reward({ ...options, pooling: "mean" })).rejects.toThrow(
    /sft_coefficient: a decoder is required/,
  );
  await expect(reward({ ...options, sftCoefficient: -1 })).rejects.toThrow(/at least 0 is required, got -1/);
});
