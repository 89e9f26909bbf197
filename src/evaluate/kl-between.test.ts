import { afterAll, describe, expect, it } from "vitest";
import { compile, type HostArray, type Tensor, unflatten } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, type Model, withParameters } from "../models/load.ts";
import { hiddenStates, logitsOf, parameterSpecs, tokenSpec } from "../models/model.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { createLogProbs, klBetween, klEstimators, sampleResponses } from "./index.ts";

const engine = await createEngine({ threads: 1 });
afterAll(() => engine.dispose());

const shape = (sizes: object = {}) =>
  configOf("llama", {
    vocabSize: 7,
    hiddenSize: 16,
    numLayers: 1,
    numHeads: 2,
    intermediateSize: 16,
    maxPositions: 12,
    tieEmbeddings: true,
    eosTokenId: 0,
    ...sizes,
  });

/** Weights as large as those of a trained model, so that the models differ. */
function model(seed: number): Model {
  const drawn = createModel(shape(), seed);
  const grown = Object.entries(drawn.parameters).map(([name, { dtype, shape, data }]) => [
    name,
    { dtype, shape, data: (data as Float32Array).map((x) => (shape.length > 1 ? 15 * x : x)) },
  ]);
  return withParameters(drawn, Object.fromEntries(grown));
}

const [a, b] = [model(1), model(2)];
const sequences = [
  { promptIds: [1, 2], ids: [3, 4, 5, 0] },
  { promptIds: [6], ids: [2] },
  { promptIds: [5, 5, 5, 1], ids: [1, 0] },
];

/** log softmax of every position, [T][V], computed here from the model's logits. */
async function logProbs({ config, parameters }: Model, ids: readonly number[]): Promise<number[][]> {
  const program = await engine.load(
    compile(
      (params, { input_ids }) => ({
        logits: logitsOf(config, params, hiddenStates(config, params, { input_ids: input_ids as Tensor })),
      }),
      [parameterSpecs(config), { input_ids: tokenSpec() }] as const,
      { provider: engine.provider },
    ),
  );
  const input_ids = {
    dtype: "int64" as const,
    shape: [1, ids.length],
    data: BigInt64Array.from(ids, BigInt),
  };
  const { logits } = (await engine.run(program, [unflatten(parameters), { input_ids }])) as {
    logits: HostArray;
  };
  await engine.unload(program);
  return ids.map((_, t) => {
    const row = Array.from(logits.data.slice(t * config.vocabSize, (t + 1) * config.vocabSize), Number);
    const log = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => x - log);
  });
}

describe("KL between two models", () => {
  it("is what a sum over the vocabulary gives on the host, in both directions", async () => {
    const found = await klBetween(engine, a, b, sequences, { n: 20 });
    const sums: Record<string, number[]> = { forward: [], reverse: [], k1: [], k3: [] };
    for (const { promptIds, ids } of sequences) {
      const [p, q] = [await logProbs(a, [...promptIds, ...ids]), await logProbs(b, [...promptIds, ...ids])];
      const at = ids.map((_, t) => promptIds.length - 1 + t);
      const exact = (x: number[][], y: number[][]) =>
        at.reduce(
          (sum, t) =>
            sum + (x[t] as number[]).reduce((s, lp, v) => s + Math.exp(lp) * (lp - (y[t]?.[v] as number)), 0),
          0,
        );
      const ratios = ids.map(
        (id, t) => (p[at[t] as number]?.[id] as number) - (q[at[t] as number]?.[id] as number),
      );
      sums.forward?.push(exact(p, q));
      sums.reverse?.push(exact(q, p));
      sums.k1?.push(ratios.reduce((s, r) => s + r, 0));
      sums.k3?.push(ratios.reduce((s, r) => s + klEstimators.k3(r), 0));
    }
    const figures = { ...found.forward, forward: found.forward.exact, reverse: found.reverse.exact };
    expect(found).toMatchObject({ unit: "nats", responses: 3, tokens: 7 });
    for (const name of ["forward", "reverse", "k1", "k3"] as const) {
      const sum = (sums[name] as number[]).reduce((x, y) => x + y, 0);
      expect(figures[name].perResponse.mean, name).toBeCloseTo(sum / 3, 4);
      expect(figures[name].perToken.mean, name).toBeCloseTo(sum / 7, 4);
    }
    expect(found.forward.exact.perToken.mean).toBeGreaterThan(0.1);
    expect(found.forward.exact.perToken.mean).not.toBeCloseTo(found.reverse.exact.perToken.mean, 3);
  });

  it("of a model with itself is 0", async () => {
    const zero = { mean: 0, low: 0, high: 0 };
    const { forward, reverse } = await klBetween(engine, a, a, sequences);
    for (const figure of [...Object.values(forward), reverse.exact])
      expect(figure).toEqual({ perToken: zero, perResponse: zero });
  });

  it("changes places with the models, and does not change with the batch", async () => {
    const there = await klBetween(engine, a, b, sequences, { batchSize: 1 });
    const back = await klBetween(engine, b, a, sequences, { batchSize: 3 });
    expect(back.reverse.exact.perResponse.mean).toBeCloseTo(there.forward.exact.perResponse.mean, 4);
    expect(back.forward.k1.perToken.mean).toBeCloseTo(-there.forward.k1.perToken.mean, 4);
  });

  it("k1, k3 and the exact value agree on the model's own samples", async () => {
    const prompts = Array.from({ length: 600 }, (_, i) => [1 + (i % 6)]);
    const samples = await sampleResponses(engine, a, prompts, { seed: 5, maxNewTokens: 6 });
    expect(await sampleResponses(engine, a, prompts, { seed: 5, maxNewTokens: 6 })).toEqual(samples);
    const { exact, k1, k3 } = (await klBetween(engine, a, b, samples, { n: 200 })).forward;
    for (const { low, high, mean } of [k1.perResponse, k3.perResponse]) {
      const spread = high - low;
      expect(Math.abs(mean - exact.perResponse.mean)).toBeLessThan(1.5 * spread);
    }
    expect(exact.perResponse.high - exact.perResponse.low).toBeLessThan(
      k1.perResponse.high - k1.perResponse.low,
    );
  });

  it("refuses models that do not read the same ids, reward models, and rows beyond the context", async () => {
    const tokenizerOf = (text: string) => {
      const { tokenizer, config } = trainBpe([text], { vocabSize: 262 });
      return createTokenizer({ tokenizer, config });
    };
    const [one, two] = [tokenizerOf("banana banana"), tokenizerOf("cherry cherry")];
    const config = shape({ vocabSize: Math.max(one.vocabSize, two.vocabSize) });
    const [x, y] = [createModel(config, 0, one, "one"), createModel(config, 0, two, "two")];
    await expect(klBetween(engine, x, y, sequences)).rejects.toThrow(/two has another tokenizer/);
    await expect(klBetween(engine, x, a, sequences)).rejects.toThrow(
      /one vocabulary are required.* has 7 tokens/,
    );
    const scored = createModel(shape({ numLabels: 1 }), 0, undefined, "judge");
    await expect(klBetween(engine, scored, scored, sequences)).rejects.toThrow(/judge has a score head/);
    await expect(klBetween(engine, a, b, [])).rejects.toThrow(/at least one response/);
    const long = { promptIds: Array(12).fill(1), ids: [1, 2] };
    await expect(klBetween(engine, a, b, [sequences[1] as never, long])).rejects.toThrow(
      /row 2 has 12 and 2/,
    );
  });
});

it("log-probabilities of responses are those of the host, at the temperature of sampling", async () => {
  const opened = await createLogProbs(engine, a.config, a.parameters, { batchSize: 2 });
  const found = await opened.run(sequences);
  for (const [i, { promptIds, ids }] of sequences.entries()) {
    const rows = await logProbs(a, [...promptIds, ...ids]);
    expect(found[i]?.length).toBe(ids.length);
    for (const [t, id] of ids.entries())
      expect(found[i]?.[t]).toBeCloseTo(rows[promptIds.length - 1 + t]?.[id] as number, 4);
  }
  const warm = await opened.run(sequences, 2);
  expect(warm[0]?.[0]).not.toBeCloseTo(found[0]?.[0] as number, 3);
  await opened.dispose();
});
