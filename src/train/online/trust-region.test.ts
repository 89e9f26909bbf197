import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compile,
  type Engine,
  flatten,
  gather,
  type HostArray,
  hostArray,
  logSoftmax,
  matmul,
  mul,
  type Resident,
  reshape,
  type Tensor,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { gaussian } from "../../graph/random.ts";
import { configOf } from "../../models/config/config.ts";
import { createModel } from "../../models/load.ts";
import { hiddenStates, logitsOf } from "../../models/model.ts";
import { specsOf } from "../loop/trainable.ts";
import { createConjugateGradient } from "./conjugate-gradient.ts";
import { createTrustRegion, type TrustRegionBatch } from "./trust-region.ts";

const vocabSize = 5;
const config = configOf("llama", {
  vocabSize,
  hiddenSize: 4,
  numLayers: 1,
  numHeads: 1,
  intermediateSize: 6,
  maxPositions: 12,
  tieEmbeddings: true,
  eosTokenId: 0,
});
const start = Object.fromEntries(
  Object.entries(createModel(config, 1).parameters).map(([name, { shape, data }]) => [
    name,
    hostArray(
      "float32",
      shape,
      Float32Array.from(data as Float32Array, (x) => 4 * x),
    ),
  ]),
);
const specs = specsOf(start);
const temperature = 0.8;
const sequences = [
  { promptIds: [1, 2], ids: [3, 4, 0] },
  { promptIds: [2], ids: [1] },
  { promptIds: [4, 4, 1], ids: [2, 0] },
];
const options = {
  maxKl: 0.01,
  cgIterations: 10,
  damping: 1e-3,
  backtrackIterations: 10,
  backtrackCoef: 0.5,
  temperature,
  batchSize: 2,
};

let engine: Engine;
/** log pi over the vocabulary at every response token, [6][V]. */
let logPolicy: (parameters: Record<string, HostArray>) => Promise<number[][]>;

beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  const program = await engine.load(
    compile(
      (params, batch) => {
        const { input_ids, places } = batch as Record<"input_ids" | "places", Tensor>;
        const hidden = gather(hiddenStates(config, params, { input_ids }), places);
        return { logits: logSoftmax(mul(logitsOf(config, params, hidden), 1 / temperature)) };
      },
      [
        specs,
        {
          input_ids: { dtype: "int64", shape: ["B", "T"] },
          places: { dtype: "int64", shape: ["N"] },
        },
      ] as const,
    ),
  );
  logPolicy = async (parameters) => {
    const rows: number[][] = [];
    for (const { promptIds, ids } of sequences) {
      const all = [...promptIds, ...ids].slice(0, -1);
      const { logits } = await engine.run(program, [
        unflatten(parameters),
        {
          input_ids: hostArray("int64", [1, all.length], all),
          places: hostArray(
            "int64",
            [ids.length],
            ids.map((_, t) => promptIds.length - 1 + t),
          ),
        },
      ]);
      const values = Array.from((logits as HostArray<"float32">).data);
      for (let t = 0; t < ids.length; t++) rows.push(values.slice(t * vocabSize, (t + 1) * vocabSize));
    }
    return rows;
  };
});
afterAll(() => engine.dispose());

const flat = (parameters: Readonly<Record<string, HostArray>>) =>
  Object.values(parameters).flatMap(({ data }) => Array.from(data as Float32Array));

/** A vector as parameters. */
function shaped(vector: ArrayLike<number>): Record<string, HostArray> {
  let at = 0;
  return Object.fromEntries(
    Object.entries(start).map(([name, { shape, data }]) => {
      const values = Float32Array.from({ length: data.length }, () => vector[at++] as number);
      return [name, hostArray("float32", shape, values)];
    }),
  );
}

async function openRegion(overrides = {}) {
  const parameters = (await engine.put(unflatten(start))) as Tree<Resident>;
  const region = await createTrustRegion(
    engine,
    { config, specs, parameters, whole: (params) => params },
    { ...options, ...overrides },
  );
  const now = async () => flatten(await engine.get(parameters)) as Record<string, HostArray>;
  return { region, now };
}

const tokensOf = () => sequences.flatMap(({ ids }) => ids);

async function batchOf(): Promise<TrustRegionBatch> {
  const logProbs = (await logPolicy(start)).map((row, i) => row[tokensOf()[i] as number] as number);
  const advantages = [1, -0.5, 2, -1, 0.3, -0.8];
  const split = (values: readonly number[]) => {
    let at = 0;
    return sequences.map(({ ids }) => ids.map(() => values[at++] as number));
  };
  return { sequences, oldLogProbs: split(logProbs), advantages: split(advantages) };
}

describe("the Fisher-vector product", () => {
  it("is the explicit Fisher matrix times the vector", async () => {
    // F = 1/n sum_t sum_y pi(y) (d log pi(y))^T (d log pi(y)), the scores by central differences.
    const base = flat(start);
    const probabilities = (await logPolicy(start)).map((row) => row.map(Math.exp));
    const h = 2e-3;
    const scores: number[][][] = []; // [parameter][token][y]
    for (let k = 0; k < base.length; k++) {
      const at = (sign: number) => logPolicy(shaped(base.map((x, i) => (i === k ? x + sign * h : x))));
      const [up, down] = [await at(1), await at(-1)];
      scores.push(up.map((row, t) => row.map((x, y) => (x - (down[t]?.[y] as number)) / (2 * h))));
    }
    const v = gaussian(new Float32Array(base.length), 3, 0);
    const along = probabilities.map((row, t) =>
      row.map((_, y) => scores.reduce((sum, own, k) => sum + (own[t]?.[y] as number) * (v[k] as number), 0)),
    );
    const n = probabilities.length;
    const expected = scores.map(
      (own) =>
        probabilities.reduce(
          (sum, row, t) =>
            sum + row.reduce((s, p, y) => s + p * (own[t]?.[y] as number) * (along[t]?.[y] as number), 0),
          0,
        ) / n,
    );
    const { region } = await openRegion();
    const found = flat(flatten(await region.fisherProduct(await batchOf(), unflatten(shaped(v)))) as never);
    await region.dispose();
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest).toBeGreaterThan(0.1);
    for (const [k, value] of found.entries())
      expect(Math.abs(value - (expected[k] as number)), `${k}`).toBeLessThan(2e-3 * largest);
  });

  it("does not depend on how a batch is cut", async () => {
    const v = unflatten(shaped(gaussian(new Float32Array(flat(start).length), 3, 1)));
    const [one, cut] = await Promise.all(
      [3, 1].map(async (batchSize) => {
        const { region } = await openRegion({ batchSize });
        const found = flat(flatten(await region.fisherProduct(await batchOf(), v)) as never);
        await region.dispose();
        return found;
      }),
    );
    expect(cut).toEqual((one as number[]).map((x) => expect.closeTo(x, 5)));
  });
});

describe("conjugate gradients", () => {
  it("solve a known system in as many iterations as it has dimensions", async () => {
    const matrix = hostArray("float32", [3, 3], [4, 1, 0, 1, 3, 1, 0, 1, 2]);
    const tree = { x: { dtype: "float32" as const, shape: [3] } };
    const program = await engine.load(
      compile(
        (out, { x }, { m }) => ({
          out: { x: reshape(matmul(m as Tensor, reshape(x as Tensor, [3, 1])), [3]) },
          was: out.x as Tensor,
        }),
        [tree, tree, { m: { dtype: "float32", shape: [3, 3] } }] as const,
        { donate: { out: 0 } },
      ),
    );
    const cg = await createConjugateGradient(engine, tree, { iterations: 3, damping: 0 });
    const [b, product] = [
      await engine.put({ x: hostArray("float32", [3], [6, 10, 8]) }),
      await engine.put({ x: hostArray("float32", [3], [0, 0, 0]) }),
    ];
    const { residuals } = await cg.solve(b as Tree<Resident>, async (p) => {
      await engine.run(program, [product, p, { m: matrix }]);
      return product as Tree<Resident>;
    });
    const { x } = (await engine.get(cg.x)) as Record<string, HostArray>;
    expect([...((x as HostArray).data as Float32Array)]).toEqual(
      [1, 2, 3].map((value) => expect.closeTo(value, 4)),
    );
    expect(residuals.at(-1)).toBeLessThan(1e-6 * (residuals[0] as number));
    await cg.dispose();
  });
});

describe("a step", () => {
  it("raises the surrogate and stays within the bound, by its own figures and by others", async () => {
    for (const maxKl of [1e-3, 0.05]) {
      const { region, now } = await openRegion({ maxKl });
      const figures = await region.step(await batchOf());
      const [before, after] = [await logPolicy(start), await logPolicy(await now())];
      await region.dispose();
      const kl =
        before.reduce(
          (sum, row, t) =>
            sum + row.reduce((s, x, y) => s + Math.exp(x) * (x - (after[t]?.[y] as number)), 0),
          0,
        ) / before.length;
      const advantages = (await batchOf()).advantages.flatMap((row) => Array.from(row));
      const gain =
        advantages.reduce((sum, a, t) => {
          const y = tokensOf()[t] as number;
          return sum + a * (Math.exp((after[t]?.[y] as number) - (before[t]?.[y] as number)) - 1);
        }, 0) / advantages.length;
      expect(figures.kl).toBeCloseTo(kl, 5);
      expect(figures.improvement).toBeCloseTo(gain, 4);
      expect(figures.improvement).toBeGreaterThan(0);
      expect(figures.kl).toBeLessThanOrEqual(maxKl);
      // A trust region is there to be used: the step goes far into it.
      expect(figures.kl).toBeGreaterThan(maxKl / 5);
    }
  });

  it("is none without advantages, and leaves the policy where it was", async () => {
    const { region, now } = await openRegion();
    const batch = await batchOf();
    const none = batch.advantages.map((row) => Array.from(row, () => 0));
    expect(await region.step({ ...batch, advantages: none })).toMatchObject({ kl: 0, stepFraction: 0 });
    expect(flat(await now())).toEqual(flat(start));
    await region.dispose();
  });
});
