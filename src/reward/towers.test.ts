import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import { compile, type HostArray, type LocalEngine, unflatten } from "../graph/index.ts";
import { configOf, type Family } from "../models/config/config.ts";
import { createModel, type Model } from "../models/load.ts";
import type { parameterSpecs } from "../models/model.ts";
import { withScoreHead } from "../models/score-head.ts";
import type { RewardEncoder } from "../models/towers.ts";
import { createAttributor } from "./attribution/attribution.ts";
import { pooledStates, type RowBatch, rowBatchSpec } from "./reward-model.ts";
import { paddedRows } from "./rows.ts";
import { createScorer } from "./scorer.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const ids = (n: number, from: number) => Array.from({ length: n }, (_, i) => 3 + ((from * 7 + i * 5) % 40));
/** Some share a prompt. */
const rows = [
  { prompt: ids(3, 1), response: ids(4, 2) },
  { prompt: ids(3, 1), response: ids(9, 3) },
  { prompt: ids(7, 4), response: ids(1, 5) },
  { prompt: ids(1, 6), response: ids(4, 2) },
];

function modelOf(family: Family, encoder: RewardEncoder): Model {
  const sizes = { vocabSize: 48, hiddenSize: 16, numLayers: 2, numHeads: 2, maxPositions: 64 };
  const base = createModel(configOf(family, sizes, { initializer_range: 0.3 }), 3);
  const model = withScoreHead(base, { seed: 5, entries: { reward_encoder: encoder } });
  if (encoder !== "separate") return model;
  // As after training: the two backbones are not the same any more.
  const parameters = Object.fromEntries(
    Object.entries(model.parameters).map(([name, array]) => [
      name,
      name.startsWith("prompt_encoder.")
        ? { ...array, data: Float32Array.from(array.data as Float32Array, (x) => x * 1.25) }
        : array,
    ]),
  );
  return { ...model, parameters } as Model;
}

/** Mean hidden states of rows, one row at a time, by the parameters under a prefix. */
async function meanStates({ config, parameters }: Model, list: readonly number[][], prefix = "") {
  const joint = { ...config, raw: { ...config.raw, reward_encoder: undefined, pooling: "mean" } };
  const own = Object.fromEntries(
    Object.keys(parameters).flatMap((name) => {
      const from = parameters[`${prefix}${name}`];
      return name.startsWith("prompt_encoder.") ? [] : [[name, from ?? parameters[name]]];
    }),
  ) as Record<string, HostArray>;
  const { numLabels: _, ...bare } = joint;
  const specs = Object.fromEntries(
    Object.entries(own).map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
  );
  const program = await engine.load(
    compile(
      (params, batch) => ({
        states: pooledStates(bare as typeof joint, params, batch as unknown as RowBatch),
      }),
      [unflatten(specs) as ReturnType<typeof parameterSpecs>, rowBatchSpec()] as const,
    ),
  );
  const out: number[][] = [];
  for (const row of list) {
    const { states } = await engine.run(program, [unflatten(own), paddedRows([row])]);
    out.push([...((states as HostArray).data as Float32Array)]);
  }
  await engine.unload(program);
  return out;
}

describe.each([
  ["llama", "separate"],
  ["llama", "siamese"],
  ["bert", "separate"],
  ["gpt2", "siamese"],
] as [Family, RewardEncoder][])("prompt and response read apart, %s, %s", (family, encoder) => {
  const model = modelOf(family, encoder);

  it("the score is w . [u, v, |u - v|, u v], each pooled by the backbone that is its own", async () => {
    const us = await meanStates(
      model,
      rows.map(({ prompt }) => prompt),
      encoder === "separate" ? "prompt_encoder." : "",
    );
    const vs = await meanStates(
      model,
      rows.map(({ response }) => response),
    );
    const { data: w } = model.parameters["score.weight"] as HostArray<"float32">;
    const wanted = us.map((u, i) => {
      const v = vs[i] as number[];
      const features = [
        ...u,
        ...v,
        ...u.map((x, k) => Math.abs(x - (v[k] as number))),
        ...u.map((x, k) => x * (v[k] as number)),
      ];
      return features.reduce((total, x, k) => total + x * (w[k] as number), 0);
    });
    const scorer = await createScorer(engine, model);
    const found = await scorer.scores(rows);
    await scorer.dispose();
    for (const [i, score] of found.entries()) expect(score).toBeCloseTo(wanted[i] as number, 4);
    expect(new Set(found.map((x) => x.toFixed(3))).size).toBe(rows.length);
  });

  it("the score of a row does not depend on its company, whose padding it gets", async () => {
    const scorer = await createScorer(engine, model);
    const together = await scorer.scores([...rows, { prompt: ids(20, 8), response: ids(30, 9) }]);
    for (const [i, row] of rows.entries())
      expect((await scorer.scores([row]))[0]).toBeCloseTo(together[i] as number, 4);
    await scorer.dispose();
  });

  it("a row that does not say where the response begins is refused, and so is attribution", async () => {
    const scorer = await createScorer(engine, model);
    await expect(scorer.scores([ids(5, 1)])).rejects.toThrow(/a prompt and a completion are required.*row 1/);
    await expect(scorer.scores([{ prompt: [], response: ids(5, 1) }])).rejects.toThrow(
      /a prompt and a completion/,
    );
    await scorer.dispose();
    await expect(createAttributor(engine, model)).rejects.toThrow(/as one row \(joint\), this is/);
  });
});

it("two backbones begin alike, and one of them is left when a model is to read jointly again", () => {
  const sizes = { vocabSize: 48, hiddenSize: 16, numLayers: 1, numHeads: 2, maxPositions: 64 };
  const base = createModel(configOf("llama", sizes), 3);
  const apart = withScoreHead(base, { entries: { reward_encoder: "separate" } });
  const backbone = Object.keys(base.parameters).filter((name) => name.startsWith("model."));
  expect(backbone.length).toBeGreaterThan(5);
  for (const name of backbone) expect(apart.parameters[`prompt_encoder.${name}`]).toBe(base.parameters[name]);
  expect(apart.parameters["score.weight"]?.shape).toEqual([1, 64]);
  const joint = withScoreHead(apart, { entries: { reward_encoder: undefined } });
  expect(Object.keys(joint.parameters).some((name) => name.startsWith("prompt_encoder"))).toBe(false);
  expect(joint.parameters["score.weight"]?.shape).toEqual([1, 16]);
});
