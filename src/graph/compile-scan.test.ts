import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import {
  add,
  type CompiledScanBody,
  compileScan,
  greaterEqual,
  type HostArray,
  hostArray,
  LocalEngine,
  mul,
  type Resident,
  sum,
  type Tensor,
  type Tree,
  type Value,
} from "./index.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

const floats = (shape: readonly number[], values: ArrayLike<number>) => hostArray("float32", shape, values);
const f32 = (...shape: (number | string)[]) => ({ dtype: "float32", shape }) as const;

/** A running sum with a factor, which stops once the sum of the state is at least `limit`. */
const body: CompiledScanBody = ({ s }, { x }, { factor, limit }, i) => {
  const next = add(s as Tensor, mul(x as Tensor, factor as Tensor));
  const total = sum(next);
  return { carry: { s: next }, y: { total, i, next }, until: greaterEqual(total, limit as Tensor) };
};
const specs = {
  carry: { s: f32("N") },
  xs: { x: f32("K", "N") },
  constants: { factor: f32(), limit: f32() },
};
const xs = { x: floats([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]) };
const constants = (limit: number) => ({ factor: floats([], [2]), limit: floats([], [limit]) });
const start = () => ({ s: floats([2], [0.5, 0]) });

describe("a compiled scan", () => {
  const graph = compileScan(body, specs, { loop: "graph" });
  const host = compileScan(body, specs, { loop: "host" });

  for (const limit of [1e9, 20, 0])
    it(`gives the same whether the graph or the host repeats the body (limit ${limit})`, async () => {
      const args = [start(), xs, constants(limit)];
      const expected = await engine.run(await engine.load(graph), args);
      expect(await engine.run(await engine.load(host), args)).toEqual(expected);
    });

  it("repeats the body for the right number of times, and keeps what the caller keeps with the engine", async () => {
    const program = await engine.load(host);
    const state = await engine.put(start());
    const out = await engine.run(program, [state, xs, constants(20)]);
    expect(out.carry).toEqual(state);
    expect(Array.from((out.iterations as HostArray).data as BigInt64Array)).toEqual([2n]);
    expect(Array.from(((out.ys as Tree<Value>).total as HostArray<"float32">).data)).toEqual([6.5, 20.5]);
    const [kept] = Object.values(await engine.get(out.carry as Tree<Resident>)) as HostArray[];
    expect(Array.from(kept?.data as Float32Array)).toEqual([8.5, 12]);
    expect(engine.residentBytes).toBe(8);
  });

  it("refuses xs whose leading axes differ, when it is compiled and when it is run", async () => {
    const uneven = { ...specs, xs: { x: f32("K", "N"), z: f32("L") } };
    for (const loop of ["graph", "host"] as const)
      expect(() => compileScan(body, uneven, { loop })).toThrow(/leading axis|first axis/);
    expect(() => compileScan(body, { ...specs, xs: {} })).toThrow(/at least one array/);
    const two = compileScan(
      (c, { x, z }) => ({ carry: { s: add(c.s as Tensor, add(x as Tensor, z as Tensor)) } }),
      { carry: { s: f32() }, xs: { x: f32("K"), z: f32("K") } },
      { loop: "host" },
    );
    const wrong = { x: floats([3], [1, 2, 3]), z: floats([2], [1, 2]) };
    await expect(engine.run(await engine.load(two), [{ s: floats([], [0]) }, wrong, {}])).rejects.toThrow(
      /z has 2 elements along its first axis, not 3/,
    );
  });
});
