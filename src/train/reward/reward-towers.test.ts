import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, type LocalEngine, unflatten } from "../../graph/index.ts";
import { configOf } from "../../models/config/config.ts";
import { createModel, loadModel } from "../../models/load.ts";
import { parameterSpecs } from "../../models/model.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { openReward } from "../../reward/index.ts";
import { reward } from "../reward.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { collateRewards, layoutOf, rewardSpec } from "./reward-batch.ts";
import { rewardLoss } from "./reward-loss.ts";

let engine: LocalEngine;
let dir: string;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
  dir = await mkdtemp(join(tmpdir(), "attune-towers-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(dir, { recursive: true, force: true });
});

/** Which answer is right depends on the prompt alone: neither is better by itself. */
const data = [
  { prompt: "The cat sleeps", chosen: " in the barn.", rejected: " to the old mill." },
  { prompt: "A cat runs", chosen: " to the old mill.", rejected: " in the barn." },
];

describe.each(["separate", "siamese"] as const)("a reward model that reads apart, %s", (encoder) => {
  it("learns which answer goes with which prompt, and is saved, loaded and opened as any reward", async () => {
    const outputDir = join(dir, encoder);
    const { report, model } = await reward({
      model: tinyModel(1),
      data: [...data, ...data],
      evalData: data,
      encoder,
      engine,
      outputDir,
      batchSize: 4,
      maxSteps: 80,
      learningRate: 1e-2,
      headDropout: 0.1,
      featureStatistics: true,
      seed: 1,
    });
    expect(report?.accuracy).toBe(1);
    expect(model.config.raw.reward_encoder).toBe(encoder);
    const loaded = await loadModel(outputDir);
    expect(Object.keys(loaded.parameters).some((name) => name.startsWith("prompt_encoder."))).toBe(
      encoder === "separate",
    );
    const opened = await openReward({ model: outputDir, unusual_penalty: 0.1 }, { engine });
    const [right, wrong] = await opened.score([
      { prompt: "The cat sleeps", completion: " in the barn." },
      { prompt: "A cat runs", completion: " in the barn." },
    ]);
    expect(right).toBeGreaterThan((wrong as number) + 1);
    await opened.dispose();
  });
});

it("a penalty on the gradient asks for the joint encoder", async () => {
  await expect(
    reward({ model: tinyModel(1), data, encoder: "siamese", gradientPenalty: 0.1, engine, maxSteps: 1 }),
  ).rejects.toThrow(/gradient_penalty: encoder joint is required/);
});

it("the gradients of both backbones and of the head are those of finite differences", async () => {
  const sizes = { vocabSize: 20, hiddenSize: 8, numLayers: 1, numHeads: 2, maxPositions: 16 };
  const { config, parameters } = withScoreHead(
    createModel(configOf("gpt2", sizes, { initializer_range: 0.4 }), 2),
    { seed: 1, entries: { reward_encoder: "separate" } },
  );
  const layout = layoutOf(config);
  const pair = (prompt: number[], chosen: number[], rejected: number[]) => ({
    prompt: Int32Array.from(prompt),
    chosen: Int32Array.from(chosen),
    rejected: Int32Array.from(rejected),
    texts: { prompt: "", chosen: "", rejected: "" },
    row: {},
    source: { file: "row", line: 1 },
  });
  const pairs = [pair([1, 2, 3], [4, 5], [6]), pair([7], [8, 9, 10], [11, 3])];
  const batch = { ...collateRewards(pairs, layout), num_items: hostArray("float32", [], [2]) };
  const spec = { ...rewardSpec(layout), num_items: { dtype: "float32" as const, shape: [] } };
  const { valueAndGrad } = await import("../../graph/index.ts");
  const loss = rewardLoss(config);
  const program = await engine.load(
    compile(
      (params, rows) => {
        const [value, gradients] = valueAndGrad((p: typeof params) => loss(p, rows).loss)(params);
        return { value, gradients };
      },
      [parameterSpecs(config), spec] as const,
    ),
  );
  const run = async (values: typeof parameters) => engine.run(program, [unflatten(values), batch]);
  const { gradients } = await run(parameters);
  const gradientOf = (name: string) => {
    let at = gradients as unknown as Record<string, unknown>;
    for (const part of name.split(".")) at = at[part] as Record<string, unknown>;
    return (at as unknown as HostArray<"float32">).data;
  };
  const names = ["score.weight", "prompt_encoder.transformer.wte.weight", "transformer.wte.weight"];
  for (const name of names.filter((n) => parameters[n])) {
    const gradient = gradientOf(name);
    const steepest = gradient.reduce(
      (best, x, i) => (Math.abs(x) > Math.abs(gradient[best] as number) ? i : best),
      0,
    );
    const moved = async (by: number) => {
      const array = parameters[name] as HostArray<"float32">;
      const data = Float32Array.from(array.data);
      data[steepest] = (data[steepest] as number) + by;
      const out = await run({ ...parameters, [name]: { ...array, data } });
      return Number((out.value as HostArray).data[0]);
    };
    const slope = ((await moved(0.01)) - (await moved(-0.01))) / 0.02;
    expect(Math.abs(slope), name).toBeGreaterThan(0.01);
    expect(gradient[steepest], name).toBeCloseTo(slope, 2);
  }
  expect(names.filter((n) => parameters[n])).toEqual(names);
});
