/** BERT and DistilBERT beside `transformers`: scores, loss and gradients of tiny random classifiers. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import {
  arange,
  compile,
  crossEntropy,
  dimValue,
  flatten,
  gather,
  type HostArray,
  hostArray,
  type LocalEngine,
  mul,
  type Tensor,
  type Tree,
  unflatten,
  valueAndGrad,
} from "../../graph/index.ts";
import { createAdapter } from "../adapters/lora.ts";
import { checkTensors, readCheckpoint } from "../checkpoint/checkpoint.ts";
import { configOf } from "../config/config.ts";
import { createModel, loadModel, modelOf } from "../load.ts";
import {
  hiddenStates,
  logitsOf,
  parameterShapes,
  parameterSpecs,
  scoresOf,
  type TokenBatch,
  tokenSpec,
} from "../model.ts";
import { arrayOf, expectClose, type GoldenModel, goldenFolder, goldenModel } from "./parity.fixture.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const lengthsSpec = tokenSpec(["B"]);

/** Scores at [CLS], and loss and gradients with one label a row. */
async function classified({ config, parameters }: Omit<GoldenModel, "golden">, batch: Tree<HostArray>) {
  const program = compile(
    (params, batch) => {
      let scores: Tensor | undefined;
      const [loss, gradients] = valueAndGrad((p: Tree<Tensor>) => {
        const hidden = hiddenStates(config, p, batch as unknown as TokenBatch);
        const [rows, length] = (batch.input_ids as Tensor).shape as [string, string];
        scores = scoresOf(config, p, gather(hidden, mul(arange(rows), dimValue(length, "int64"))));
        return crossEntropy(scores, batch.labels as Tensor);
      })(params);
      return { scores: scores as Tensor, loss, gradients };
    },
    [parameterSpecs(config), { input_ids: tokenSpec(), lengths: lengthsSpec, labels: lengthsSpec }] as const,
  );
  return engine.run(await engine.load(program), [unflatten(parameters), batch]);
}

describe.each(["bert", "distilbert"] as const)("%s", (family) => {
  it("has the scores, the loss and every gradient of transformers", async () => {
    const { golden, ...model } = await goldenModel(`${family}-score`);
    const [input_ids, labels] = [arrayOf(golden, "input_ids"), arrayOf(golden, "labels")];
    const out = await classified(model, { input_ids, labels, lengths: hostArray("int64", [3], [12, 9, 5]) });
    expectClose("scores", out.scores as HostArray, arrayOf(golden, "logits"));
    expectClose("loss", out.loss as HostArray, arrayOf(golden, "loss"));
    const gradients = flatten(out.gradients as Tree<HostArray>);
    for (const [path, gradient] of Object.entries(gradients))
      expectClose(path, gradient, arrayOf(golden, `grad.${path}`), { tolerance: 2e-4 });
    const expected = Object.keys(golden).filter((key) => key.startsWith("grad."));
    expect(Object.keys(gradients)).toHaveLength(expected.length);
  });

  it("scores a row alike, however much padding follows it", async () => {
    const { golden: _, ...model } = await goldenModel(`${family}-score`);
    const row = [7, 30, 11, 4];
    const labels = hostArray("int64", [1], [0]);
    const lengths = hostArray("int64", [1], [row.length]);
    const [bare, padded] = [row, [...row, 9, 9, 0, 0, 0]].map((ids) => ({
      input_ids: hostArray("int64", [1, ids.length], ids),
      lengths,
      labels,
    }));
    const scores = async (batch: Tree<HostArray>) => (await classified(model, batch)).scores as HostArray;
    expectClose("scores", await scores(padded as Tree<HostArray>), await scores(bare as Tree<HostArray>));
  });

  it("is read from a file of the bare model, and of one that predicts masked tokens", async () => {
    const { tensors } = await readCheckpoint(join(goldenFolder, "models", `${family}-score`));
    const config = configOf(family, {
      vocabSize: 48,
      hiddenSize: 16,
      intermediateSize: 24,
      numLayers: 2,
      numHeads: 2,
      maxPositions: 64,
    });
    const shapes = parameterShapes(config);
    const bare = Object.fromEntries(
      Object.entries(tensors)
        .filter(([name]) => name in shapes)
        .map(([name, array]) => [
          name.replace(`${family}.`, "").replace("LayerNorm.weight", "LayerNorm.gamma"),
          array,
        ]),
    );
    const masked = { ...bare, "cls.predictions.bias": hostArray("float32", [48], new Float32Array(48)) };
    for (const stored of [bare, masked])
      expect(Object.keys(checkTensors(shapes, stored))).toEqual(Object.keys(shapes));
  });

  it("refuses to predict a next token", () => {
    const config = configOf(family, {
      vocabSize: 48,
      hiddenSize: 16,
      numLayers: 1,
      numHeads: 2,
      maxPositions: 8,
    });
    expect(() =>
      compile(
        (params, batch) => ({
          logits: logitsOf(config, params, hiddenStates(config, params, batch as unknown as TokenBatch)),
        }),
        [parameterSpecs(config), { input_ids: tokenSpec() }] as const,
      ),
    ).toThrow(/a language model is required, (distil)?bert is an encoder/);
  });

  it("is saved with its scores and read again", async () => {
    const { golden: _, ...parts } = await goldenModel(`${family}-score`);
    const dir = await mkdtemp(join(tmpdir(), "encoder-"));
    try {
      await modelOf(parts).save(join(dir, "copy"));
      const { config, parameters } = await loadModel(join(dir, "copy"));
      expect(config.numLabels).toBe(3);
      expect(parameters).toEqual(parts.parameters);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it("takes an adapter on its projections, and trains its head whole", () => {
    const sizes = { vocabSize: 48, hiddenSize: 16, numLayers: 1, numHeads: 2, maxPositions: 8, numLabels: 1 };
    const { config, parameters } = createModel(configOf(family, sizes));
    const names = Object.keys(createAdapter(config, parameters, { r: 2 }).parameters);
    expect(names.filter((name) => name.includes("embeddings"))).toEqual([]);
    expect(names).toContain("classifier.weight");
    expect(names).toContain("classifier.bias");
  });
});
