import { expect, it } from "vitest";
import { pretrain } from "./pretrain.ts";
import { sentences } from "./tiny.fixture.ts";

const sizes = { hiddenSize: 32, numLayers: 2, numHeads: 2, intermediateSize: 64, maxPositions: 64 };
const data = sentences.map((text) => ({ text }));

it("a new model with a tokenizer of the documents learns them, every document whole in its block", async () => {
  let tokens = 0;
  const { model, metrics } = await pretrain(
    {
      model: { ...sizes, vocabSize: 290 },
      data,
      evalData: data.slice(0, 6),
      batchSize: 4,
      numEpochs: 30,
      learningRate: 1e-2,
      threads: 1,
    },
    {
      onStart({ train, tokenizer }) {
        tokens = [...train.unpacked].reduce((n, { ids }) => n + ids.length, 0);
        expect(tokenizer.vocabSize).toBe(290);
        expect(train.packed).toBe(true);
        expect(train.examples.length).toBeLessThan(train.unpacked.length);
      },
    },
  );
  expect(model.config.vocabSize).toBe(290);
  expect(model.config.eosTokenIds).toEqual([model.tokenizer?.eosId]);
  expect(metrics.num_tokens).toBe(30 * tokens);
  expect(metrics.eval_loss).toBeLessThan(0.5);
});

it("the same seed draws the same model, and a given model goes on", async () => {
  const first = await pretrain({ model: { ...sizes, vocabSize: 280 }, data, maxSteps: 2, threads: 1 });
  const again = await pretrain({ model: { ...sizes, vocabSize: 280 }, data, maxSteps: 2, threads: 1 });
  expect(again.model.parameters).toEqual(first.model.parameters);
  const further = await pretrain({ model: first.model, data, maxSteps: 1, threads: 1 });
  expect(further.metrics.loss).toBeLessThan(Math.log(280));
});
