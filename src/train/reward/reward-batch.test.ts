import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pair } from "../../data/pair.ts";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, type LocalEngine, unflatten } from "../../graph/index.ts";
import { configOf, type Family } from "../../models/config/config.ts";
import { createModel } from "../../models/load.ts";
import { parameterSpecs } from "../../models/model.ts";
import { withScoreHead } from "../../models/score-head.ts";
import type { RewardEncoder } from "../../models/towers.ts";
import type { Pooling } from "../../reward/pooling.ts";
import { createScorer } from "../../reward/scorer.ts";
import { collateRewards, layoutOf, rewardRows, rewardSpec } from "./reward-batch.ts";
import { rewardLoss } from "./reward-loss.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const ids = (n: number, from: number) =>
  Int32Array.from({ length: n }, (_, i) => 3 + ((from * 7 + i * 5) % 40));
const pairs = (
  [
    [3, 4, 6],
    [1, 2, 2],
    [5, 9, 1],
    [0, 2, 4],
    [2, 1, 3],
  ] as const
).map(
  ([prompt, chosen, rejected], i): Pair => ({
    prompt: ids(prompt, i),
    chosen: ids(chosen, i + 10),
    rejected: ids(rejected, i + 20),
    texts: { prompt: "", chosen: "", rejected: "" },
    row: {},
    source: { file: "row", line: i + 1 },
  }),
);

describe.each([
  ["gpt2", "last", "joint"],
  ["llama", "last", "joint"],
  ["llama", "mean", "joint"],
  ["gpt_neo", "last", "joint"],
  ["bert", "cls", "joint"],
  ["bert", "mean", "joint"],
  ["distilbert", "last", "joint"],
  ["llama", "mean", "separate"],
  ["gpt2", "last", "siamese"],
  ["bert", "mean", "separate"],
  ["bert", "cls", "siamese"],
] as [Family, Pooling, RewardEncoder][])(
  "pairs that share rows, %s, pooling %s, %s",
  (family, pooling, encoder) => {
    const sizes = { vocabSize: 48, hiddenSize: 16, numLayers: 2, numHeads: 2, maxPositions: 64 };
    const base = createModel(configOf(family, sizes, { initializer_range: 0.3 }), 3);
    const model = withScoreHead(base, { seed: 5, entries: { pooling, reward_encoder: encoder } });
    const { config, parameters } = model;
    const own = encoder === "joint" ? pairs : pairs.filter(({ prompt }) => prompt.length > 0);
    const layout = layoutOf(config);

    it("have the scores that each response has alone", async () => {
      const batchSpec = { ...rewardSpec(layout), num_items: { dtype: "float32" as const, shape: [] } };
      const program = compile(
        (params, batch) => {
          const { loss, metrics } = rewardLoss(config)(params, batch);
          return { loss, ...metrics };
        },
        [parameterSpecs(config), batchSpec] as const,
      );
      const batch = { ...collateRewards(own, layout), num_items: hostArray("float32", [], [own.length]) };
      const out = await engine.run(await engine.load(program), [unflatten(parameters), batch]);
      const found = Object.fromEntries(
        Object.entries(out).map(([name, x]) => [name, Number((x as HostArray).data[0])]),
      );
      const scorer = await createScorer(engine, model, { batchSize: 1 });
      const chosen = await scorer.scores(own.map(({ prompt, chosen: response }) => ({ prompt, response })));
      const rejected = await scorer.scores(
        own.map(({ prompt, rejected: response }) => ({ prompt, response })),
      );
      await scorer.dispose();
      const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
      const leads = chosen.map((x, i) => x - (rejected[i] as number));
      const wanted = {
        loss: mean(leads.map((d) => Math.log1p(Math.exp(-d)))),
        accuracy: mean(leads.map((d) => Number(d > 0))),
        margin: mean(leads),
        min_reward: Math.min(...chosen, ...rejected),
        mean_reward: mean([...chosen, ...rejected]),
        max_reward: Math.max(...chosen, ...rejected),
      };
      for (const [name, value] of Object.entries(wanted)) expect(found[name], name).toBeCloseTo(value, 4);
      expect(new Set(leads.map((d) => d.toFixed(3))).size).toBe(own.length);
    });
  },
);

const sizes = { vocabSize: 48, hiddenSize: 8, numLayers: 1, numHeads: 1, maxPositions: 64 };

it("a prompt stands once before both responses, and rows are filled before there are more of them", () => {
  const model = withScoreHead(createModel(configOf("llama", sizes), 1), {
    seed: 1,
    entries: { pooling: "mean" },
  });
  const layout = layoutOf(model.config, { margin: true });
  const { input_ids, weights, margin } = collateRewards(pairs, layout) as Record<string, HostArray>;
  expect(input_ids?.shape).toEqual([4, 16]); // 15, 13, 6 + 6 and 5 tokens; apart they take 10 rows of 14
  expect(weights?.shape).toEqual([2, 5, 4, 16]);
  expect(margin?.data).toEqual(new Float32Array(5));
  const rows = rewardRows(pairs, layout);
  expect(rows.shape?.(pairs[0] as Pair)).toEqual({ rows: 1, length: 13 });
  expect(rows.sequences(pairs[0] as Pair).reduce((n, list) => n + list.length, 0)).toBe(16);
});

it("of ragged rows no token is padding, and the last of each response is read", () => {
  const { ragged, places } = collateRewards(pairs, layoutOf(configOf("llama", sizes)));
  const { input_ids, reads } = ragged as Record<string, HostArray>;
  const all = pairs.flatMap(({ prompt, chosen, rejected }) => [...prompt, ...chosen, ...prompt, ...rejected]);
  expect(input_ids?.shape[0]).toBeLessThanOrEqual(all.length);
  const list = (x: unknown) => Array.from((x as HostArray).data, Number);
  const read = list(reads).map((token) => list(input_ids)[token]);
  expect((places as HostArray).shape).toEqual([2, 5]);
  expect(list(places).map((place) => read[place])).toEqual([
    ...pairs.map(({ chosen }) => chosen.at(-1)),
    ...pairs.map(({ rejected }) => rejected.at(-1)),
  ]);
});

it("the penalty on a pair's gradient is the same whatever pairs are beside it", async () => {
  const model = withScoreHead(
    createModel(configOf("gpt2", { ...sizes, maxPositions: 256 }, { initializer_range: 0.3 }), 1),
    { seed: 2 },
  );
  const layout = { ...layoutOf(model.config), onePrompt: true };
  const pairOf = (prompt: number, response: number, i: number): Pair => ({
    ...(pairs[0] as Pair),
    prompt: ids(prompt, i),
    chosen: ids(response, i + 1),
    rejected: ids(response, i + 2),
  });
  // Alone, the first would do better with its prompt twice; beside the second, whose row is long, with one.
  const [short, long] = [pairOf(20, 80, 1), pairOf(200, 20, 5)];
  const program = await engine.load(
    compile(
      (params, batch) => rewardLoss(model.config, { gradientPenalty: 1 })(params, batch).metrics ?? {},
      [
        parameterSpecs(model.config),
        { ...rewardSpec(layout), num_items: { dtype: "float32" as const, shape: [] } },
      ] as const,
    ),
  );
  const penaltyOf = async (list: readonly Pair[]) => {
    const batch = { ...collateRewards(list, layout), num_items: hostArray("float32", [], [1]) };
    const { input_gradient } = await engine.run(program, [unflatten(model.parameters), batch]);
    return Number((input_gradient as HostArray).data[0]);
  };
  const [one, other, both] = [
    await penaltyOf([short]),
    await penaltyOf([long]),
    await penaltyOf([short, long]),
  ];
  expect(one).toBeGreaterThan(0);
  expect(both / (one + other)).toBeCloseTo(1, 4);
});
