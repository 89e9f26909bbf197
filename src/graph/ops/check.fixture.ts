/** Runs an operation and its first and second gradient, and holds them against plain loops and differences. */
import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type DType, type HostArray, hostArray } from "../array.ts";
import { gradientOf } from "../autodiff/grad.ts";
import { compile } from "../compile.ts";
import { evaluateDim, type Shape } from "../dims.ts";
import { LocalEngine } from "../engine/engine.ts";
import { input, type Tensor } from "../tensor.ts";
import type { Tree } from "../tree.ts";
import { addAll, mul, sum } from "./index.ts";
import {
  along,
  differences,
  indices,
  type Nd,
  type Reference,
  randomFrom,
  weighted,
} from "./reference.fixture.ts";

/** One input of an operation: a shape with names, and its values (numbers that float32 holds exactly). */
export interface InputSpec {
  readonly shape: Shape;
  readonly whole: boolean;
  readonly value: (random: () => number, place: number, count: number) => number;
}

export interface OpCase {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly fn: (...xs: Tensor[]) => Tensor | readonly Tensor[];
  readonly reference: Reference;
  /** `none`: only values are compared. */
  readonly gradient?: "none";
  /** Dtypes whose kernels exist; both by default. */
  readonly dtypes?: readonly ("float32" | "float64")[];
}

/** The size of each name in the tests. */
const bindings = { B: 2, T: 3 };

/** Real numbers, uniform in [low, high). */
export const real = (shape: Shape, low = -1.5, high = 1.5): InputSpec => ({
  shape,
  whole: false,
  value: (random) => Math.fround(low + (high - low) * random()),
});

/** Real numbers of which no two are closer than 0.05, so that their order survives a difference step. */
export const distinct = (shape: Shape): InputSpec => ({
  shape,
  whole: false,
  value: (random, place, count) =>
    Math.fround((((place * 7) % count) - count / 2) * 0.1 + 0.05 * random() + 0.02),
});

/** Whole numbers in [low, high). */
export const whole = (shape: Shape, high: number, low = 0): InputSpec => ({
  shape,
  whole: true,
  value: (random) => low + Math.floor((high - low) * random()),
});

/** These whole numbers, in order. */
export const list = (shape: Shape, values: readonly number[]): InputSpec => ({
  shape,
  whole: true,
  value: (_, place) => values[place] as number,
});

const listOf = (y: Tensor | readonly Tensor[]): readonly Tensor[] =>
  Array.isArray(y) ? (y as readonly Tensor[]) : [y as Tensor];

const sizes = (shape: Shape): number[] => shape.map((dim) => evaluateDim(dim, bindings));

const engine = new LocalEngine(ort, { threads: 1 });

function valuesOf(spec: InputSpec, random: () => number): Nd {
  const shape = sizes(spec.shape);
  const count = [...indices(shape)].length;
  return { shape, data: Float64Array.from({ length: count }, (_, i) => spec.value(random, i, count)) };
}

const asArray = ({ shape, data }: Nd, dtype: DType): HostArray => hostArray(dtype, shape, [...data]);
const keyed = <L>(prefix: string, xs: readonly L[]): Record<string, L> =>
  Object.fromEntries(xs.map((x, i) => [`${prefix}${i}`, x]));

/** Tolerances relative to 1 + the largest expected value. */
const tolerances = { float32: [3e-6, 1e-4, 3e-4], float64: [1e-12, 1e-7, 1e-4] } as const;

function expectClose(what: string, got: HostArray, expected: Nd, tolerance: number): void {
  expect(got.shape, `${what}: shape`).toEqual(expected.shape);
  const scale = 1 + Math.max(0, ...expected.data.map(Math.abs));
  for (const [i, y] of [...got.data].entries()) {
    const wanted = expected.data[i] as number;
    if (!(Math.abs(Number(y) - wanted) <= tolerance * scale))
      expect.fail(`${what}[${i}]: ${y} differs from ${wanted} by more than ${tolerance * scale}`);
  }
}

/**
 * Compares outputs with the reference, the gradient of their weighted sum with differences of the reference,
 * and the gradient of a weighted sum of that gradient with differences of those. Float64 factors that stand in
 * an attribute (a score's scale) must be exact in float32, because ONNX Runtime keeps them so.
 */
async function checkOp(row: OpCase, dtype: "float32" | "float64", named: boolean): Promise<void> {
  const random = randomFrom(7);
  const xs = row.inputs.map((spec) => valuesOf(spec, random));
  const shapeFor = (spec: InputSpec): Shape => (named ? spec.shape : sizes(spec.shape));
  const specs = row.inputs.map((spec) => ({
    dtype: (spec.whole ? "int64" : dtype) as DType,
    shape: shapeFor(spec),
  }));
  const traced = listOf(row.fn(...specs.map((spec, i) => input(`x${i}`, spec.dtype, spec.shape))));
  const found = row.reference(...xs);
  const expected = Array.isArray(found) ? (found as Nd[]) : [found as Nd];
  expect(traced.length, "number of outputs").toBe(expected.length);
  for (const [i, y] of traced.entries())
    expect(
      y.shape.map((dim) => evaluateDim(dim, bindings)),
      `traced shape of output ${i}`,
    ).toEqual((expected[i] as Nd).shape);

  const wrt = row.gradient === "none" ? [] : row.inputs.flatMap((spec, i) => (spec.whole ? [] : [i]));
  const smooth = traced.map((y) => y.dtype === dtype && wrt.length > 0);
  const weight = (shape: readonly number[]): Nd => valuesOf(real(shape, 0.5, 1.5), random);
  const weights = expected.map((y, i) => (smooth[i] ? weight(y.shape) : undefined));
  const directions = wrt.map((i) => weight((xs[i] as Nd).shape));

  const weightSpecs = keyed(
    "w",
    traced.map((y) => ({ dtype, shape: y.shape })),
  );
  const directionSpecs = keyed(
    "v",
    wrt.map((i) => ({ dtype, shape: (specs[i] as { shape: Shape }).shape })),
  );
  const program = compile(
    (x: Tree<Tensor>, w: Tree<Tensor>, v: Tree<Tensor>): Tree<Tensor> => {
      const args = row.inputs.map((_, i) => x[`x${i}`] as Tensor);
      const outputs = listOf(row.fn(...args));
      const results = keyed("y", outputs);
      if (wrt.length === 0) return results;
      const terms = outputs.flatMap((y, i) => (smooth[i] ? [sum(mul(y, w[`w${i}`] as Tensor))] : []));
      const targets = wrt.map((i) => args[i] as Tensor);
      const first = gradientOf(addAll(terms), targets);
      const inner = addAll(first.map((g, i) => sum(mul(g, v[`v${i}`] as Tensor))));
      return { ...results, ...keyed("g", first), ...keyed("h", gradientOf(inner, targets)) };
    },
    [keyed("x", specs), weightSpecs, directionSpecs],
  );
  const executable = await engine.load(program);
  const results = (await engine.run(executable, [
    keyed(
      "x",
      xs.map((x, i) => asArray(x, (specs[i] as { dtype: DType }).dtype)),
    ),
    keyed(
      "w",
      expected.map((y, i) => asArray(weights[i] ?? y, dtype)),
    ),
    keyed(
      "v",
      directions.map((v) => asArray(v, dtype)),
    ),
  ])) as Record<string, HostArray>;
  await engine.unload(executable);

  const [exact, once, twice] = tolerances[dtype];
  for (const [i, y] of expected.entries())
    expectClose(`output ${i}`, results[`y${i}`] as HostArray, y, exact);
  if (wrt.length === 0) return;
  const f = (at: readonly Nd[]) => weighted(row.reference, weights, at);
  for (const [i, g] of differences(f, xs, wrt, 1e-4).entries())
    expectClose(`gradient ${i}`, results[`g${i}`] as HostArray, g, once);
  const slope = along(f, directions, wrt, 1e-3);
  for (const [i, h] of differences(slope, xs, wrt, 1e-3).entries())
    expectClose(`gradient of gradient ${i}`, results[`h${i}`] as HostArray, h, twice);
}

/** One test per operation, dtype and kind of shape. */
export function describeOps(title: string, cases: readonly OpCase[]): void {
  afterAll(() => engine.dispose());
  describe(`${title}: value, gradient and gradient of gradient`, () => {
    for (const row of cases)
      for (const dtype of row.dtypes ?? (["float32", "float64"] as const))
        for (const named of [false, true])
          it(`${row.name} (${dtype}, ${named ? "named" : "static"} shapes)`, () =>
            checkOp(row, dtype, named));
  });
}
