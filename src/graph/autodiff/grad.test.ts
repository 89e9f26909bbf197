import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../array.ts";
import { compile } from "../compile.ts";
import { LocalEngine } from "../engine/engine.ts";
import { AttuneError, ShapeError } from "../errors.ts";
import * as op from "../ops/index.ts";
import { input, makeNode, type Tensor } from "../tensor.ts";
import type { Tree } from "../tree.ts";
import { grad, gradientOf, valueAndGrad } from "./grad.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

/** Runs a function of one vector and returns its results as lists. */
async function evaluate(
  fn: (x: Tensor) => Record<string, Tensor>,
  values: number[],
): Promise<Record<string, number[]>> {
  const program = compile(({ x }) => fn(x as Tensor), [{ x: { dtype: "float32", shape: ["N"] } }]);
  const results = await engine.run(await engine.load(program), [
    { x: hostArray("float32", [values.length], values) },
  ]);
  return Object.fromEntries(
    Object.entries(results).map(([k, v]) => [k, [...(v as HostArray).data].map(Number)]),
  );
}
const gradient = async (fn: (x: Tensor) => Tensor, values: number[]) =>
  (await evaluate((x) => ({ g: gradientOf(fn(x), [x])[0] as Tensor }), values)).g;

describe("the gradient at ties and at the edge of a function's domain", () => {
  it("of the largest element goes to all that attain it in equal parts", async () => {
    expect(await gradient((x) => op.max(x), [1, 3, 3, 2])).toEqual([0, 0.5, 0.5, 0]);
    expect(await gradient((x) => op.min(x), [1, 1, 1, 2])).toEqual([1 / 3, 1 / 3, 1 / 3, 0].map(Math.fround));
  });

  it("of maximum and minimum goes to one side of a tie, so that the parts add up to 1", async () => {
    expect(await gradient((x) => op.sum(op.maximum(x, op.mul(x, 1))), [1, 2])).toEqual([1, 1]);
    const both = await evaluate(
      (x) => {
        const y = op.exp(x);
        const [a, b] = [op.mul(y, 2), op.mul(y, 3)];
        const [da, db] = gradientOf(op.sum(op.maximum(op.div(a, 2), op.div(b, 3))), [a, b]) as [
          Tensor,
          Tensor,
        ];
        return { parts: op.add(op.mul(da, 2), op.mul(db, 3)) };
      },
      [0, 0],
    );
    expect(both.parts).toEqual([1, 1]);
  });

  it("of clip is 1 inside and 0 outside", async () => {
    expect(await gradient((x) => op.sum(op.clip(x, -1, 1)), [-2, -0.5, 0.5, 2])).toEqual([0, 1, 1, 0]);
  });

  it("of relu at 0 is 0, and of abs at 0 is 0", async () => {
    expect(await gradient((x) => op.sum(op.relu(x)), [0, 1])).toEqual([0, 1]);
    expect(await gradient((x) => op.sum(op.abs(x)), [0, -1])).toEqual([0, -1]);
  });

  it("of logSigmoid and softplus stays finite for margins of any size", async () => {
    const far = [-200, -90, 0, 90, 200];
    const values = await evaluate((x) => ({ y: op.logSigmoid(x) }), far);
    expect(values.y?.[0]).toBeCloseTo(-200, 3);
    expect(values.y?.every(Number.isFinite)).toBe(true);
    expect((await gradient((x) => op.sum(op.logSigmoid(x)), far))?.[0]).toBeCloseTo(1, 6);
  });

  it("of a square at a negative or zero base is finite", async () => {
    expect(await gradient((x) => op.sum(op.pow(x, 2)), [-3, 0, 2])).toEqual([-6, 0, 4]);
  });

  it("of sorted values goes back to where they came from, also with duplicates", async () => {
    const weights = (x: Tensor) =>
      op.mul(op.sort(x).values, op.cast(op.arange(x.shape[0] as string), "float32"));
    const g = (await gradient((x) => op.sum(weights(x)), [3, 1, 2, 1])) as number[];
    expect([g[0], g[2]]).toEqual([3, 2]);
    expect([g[1], g[3]].sort()).toEqual([0, 1]);
  });
});

describe("stopGradient", () => {
  it("keeps the value and lets nothing through", async () => {
    const result = await evaluate(
      (x) => {
        const y = op.mul(x, op.stopGradient(x));
        return { y, g: gradientOf(op.sum(y), [x])[0] as Tensor };
      },
      [2, 3],
    );
    expect(result).toEqual({ y: [4, 9], g: [2, 3] });
  });

  it("gives zeros where the loss does not depend on a tensor", async () => {
    expect(await gradient((x) => op.sum(op.stopGradient(x)), [2, 3])).toEqual([0, 0]);
    expect(await gradient(() => op.scalar(3), [2, 3])).toEqual([0, 0]);
  });
});

describe("the walk", () => {
  it("adds up what comes from several uses", async () => {
    expect(await gradient((x) => op.sum(op.add(op.mul(x, x), op.add(x, x))), [3])).toEqual([8]);
  });

  it("takes the gradient with respect to a value in between", async () => {
    const r = await evaluate(
      (x) => {
        const y = op.mul(x, 3);
        const loss = op.sum(op.square(y));
        const [dx, dy] = gradientOf(loss, [x, y]) as [Tensor, Tensor];
        return { dx, dy };
      },
      [2],
    );
    expect(r).toEqual({ dx: [36], dy: [12] });
  });

  it("goes through casts between floating dtypes and stops at whole numbers", async () => {
    expect(await gradient((x) => op.cast(op.sum(op.square(op.cast(x, "float64"))), "float32"), [3])).toEqual([
      6,
    ]);
    expect(await gradient((x) => op.sum(op.cast(op.cast(x, "int64"), "float32")), [3])).toEqual([0]);
  });

  it("goes through thousands of nodes", async () => {
    const deep = (x: Tensor) => {
      let y = x;
      for (let i = 0; i < 5000; i++) y = op.add(y, 1);
      return op.sum(y);
    };
    const a = input("x", "float32", [2]);
    expect(() => gradientOf(deep(a), [a])).not.toThrow();
  });

  it("returns a tree of the parameters' structure", async () => {
    const loss = (p: Tree<Tensor>) => op.sum(op.mul((p.layer as Tree<Tensor>).w as Tensor, p.b as Tensor));
    const specs = {
      layer: { w: { dtype: "float32", shape: [2] } },
      b: { dtype: "float32", shape: [] },
    } as const;
    const program = compile(
      (p) => {
        const [value, gradients] = valueAndGrad(loss)(p);
        return { value, gradients, again: grad(loss)(p) };
      },
      [specs],
    );
    const params = { layer: { w: hostArray("float32", [2], [1, 2]) }, b: hostArray("float32", [], [5]) };
    const results = await engine.run(await engine.load(program), [params]);
    const lists = JSON.parse(
      JSON.stringify(results, (_, v) => (ArrayBuffer.isView(v) ? [...(v as Float32Array)] : v)),
    );
    expect(lists.value.data).toEqual([15]);
    for (const tree of [lists.gradients, lists.again])
      expect([tree.layer.w.data, tree.b.data]).toEqual([[5, 5], [3]]);
  });

  it("refuses a loss that is no scalar, and an operation without a rule", () => {
    const a = input("x", "float32", ["B", 2]);
    expect(() => gradientOf(a, [a])).toThrow(ShapeError);
    expect(() => gradientOf(a, [a])).toThrow("must be a scalar, got [B, 2]");
    const odd = makeNode("mystery", [a], {}, [{ dtype: "float32", shape: [] }])[0] as Tensor;
    expect(() => gradientOf(odd, [a])).toThrow(AttuneError);
    expect(() => gradientOf(odd, [a])).toThrow("mystery has no gradient rule");
  });
});
