import { afterAll, beforeAll, expect, it } from "vitest";
import { createTokenPass, logProbsFigure } from "../../evaluate/token-pass.ts";
import { type Engine, type Resident, type Tensor, type Tree, unflatten } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { parameterSpecs } from "../../models/model.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { RewardInput } from "../../reward/reward.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { createSampler, type Sampler, scoreResponses } from "./rollouts.ts";

const model = tinyModel();
const tokenizer = model.tokenizer as Tokenizer;
const prompts = ["The cat", "A dog runs from", "The hen"].map((text) => ({
  ids: tokenizer.encode(text),
  text,
}));
const settings = { tokenizer, temperature: 0.7, maxNewTokens: 6, batchSize: 8 };

let engine: Engine;
let sampler: Sampler;
let weights: Tree<Resident>;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  weights = await engine.put(unflatten(model.parameters));
  sampler = createSampler(engine, model.config, weights, settings);
});
afterAll(() => engine.dispose());

it("responses are a function of the seed, from weights in the engine as from arrays", async () => {
  const first = await sampler.sample(prompts, { seed: 3 });
  expect((await sampler.sample(prompts, { seed: 3 })).map(({ ids }) => ids)).toEqual(
    first.map(({ ids }) => ids),
  );
  expect((await sampler.sample(prompts, { seed: 4 })).map(({ ids }) => ids)).not.toEqual(
    first.map(({ ids }) => ids),
  );
  const arrays = createSampler(engine, model.config, async () => unflatten(model.parameters), settings);
  expect((await arrays.sample(prompts, { seed: 3 })).map(({ ids }) => ids)).toEqual(
    first.map(({ ids }) => ids),
  );
});

it("the log-probabilities of sampling are those of a pass over prompt and response, at the same temperature", async () => {
  const responses = await sampler.sample(prompts, { seed: 5, samples: 2 });
  expect(responses.length).toBe(6);
  const sequences = responses.map(({ ids }, i) => ({
    promptIds: prompts[Math.floor(i / 2)]?.ids ?? [],
    ids,
  }));
  const figure = logProbsFigure(model.config, (all) => all.policy as Tree<Tensor>);
  // Rows of several lengths in one run and each alone: padding changes nothing.
  for (const batchSize of [6, 1]) {
    const pass = await createTokenPass(engine, figure, {
      weights: { policy: parameterSpecs(model.config) },
      batchSize,
    });
    const found = await pass.run({ policy: weights }, sequences, settings.temperature);
    for (const [i, { logProbs }] of responses.entries())
      for (const [t, x] of logProbs.entries()) expect(found[i]?.[t]).toBeCloseTo(x, 4);
    await pass.dispose();
  }
});

it("a response that the limit cuts is not terminated, and one that ends by a stop token is", async () => {
  const every = Array.from({ length: model.config.vocabSize }, (_, id) => id);
  const stopping = createSampler(engine, model.config, weights, { ...settings, stopTokenIds: every });
  const never = createSampler(engine, model.config, weights, { ...settings, stopTokenIds: [] });
  expect(await stopping.sample(prompts, { seed: 1 })).toSatisfy(
    (rows: readonly { ids: number[]; terminated: boolean }[]) =>
      rows.every(({ ids, terminated }) => terminated && ids.length === 1),
  );
  expect(await never.sample(prompts, { seed: 1 })).toSatisfy(
    (rows: readonly { ids: number[]; terminated: boolean }[]) =>
      rows.every(({ ids, terminated }) => !terminated && ids.length === 6),
  );
});

it("a reward sees the ids that were sampled, never others made from their text", async () => {
  const responses = await sampler.sample(prompts, { seed: 7 });
  let seen: readonly RewardInput[] = [];
  const scores = await scoreResponses(
    (batch) => {
      seen = batch;
      return batch.map((_, i) => i);
    },
    prompts,
    responses,
  );
  expect(scores).toEqual([0, 1, 2]);
  for (const [i, input] of seen.entries()) {
    expect(input.completionIds).toBe(responses[i]?.ids);
    expect(input.promptIds).toEqual(Array.from(prompts[i]?.ids ?? []));
    expect(input.prompt).toBe(prompts[i]?.text);
  }
});
