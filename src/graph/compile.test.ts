import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "./array.ts";
import { gradientOf } from "./autodiff/grad.ts";
import { type CompileOptions, compile } from "./compile.ts";
import { LocalEngine, type Resident } from "./engine/engine.ts";
import * as op from "./ops/index.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";
import { flatten, mapTree, type Tree } from "./tree.ts";

const engine = new LocalEngine(ort, { threads: 2 });
afterAll(() => engine.dispose());

type State = Tree<Tensor>;
type Step = (state: State, x: Tensor) => Record<string, Tensor | Tree<Tensor>>;
const float = (...shape: number[]): TensorSpec => ({ dtype: "float32", shape });
const pseudo = (seed: number, n: number) =>
  Array.from({ length: n }, (_, i) => Math.sin(seed * 12.9 + i * 78.2) / 2);

const compiled = (step: Step, specs: Tree<TensorSpec>, options: CompileOptions = {}) =>
  compile((state, batch) => step(state as State, batch.x as Tensor), [specs, { x: float(4, 8) }], options);
const donating: CompileOptions = { donate: { state: 0 } };

const initial = (specs: Tree<TensorSpec>): Tree<HostArray> => {
  let seed = 0;
  return mapTree(specs, ({ shape }) => {
    const numbers = shape as number[];
    const n = numbers.reduce((a, b) => a * b, 1);
    return hostArray("float32", numbers, pseudo(++seed, n).map(Math.abs));
  });
};

const lists = (tree: Tree<HostArray>) =>
  Object.fromEntries(Object.entries(flatten(tree)).map(([path, { data }]) => [path, [...data].map(Number)]));

/** The state after some steps, once carried by the host and once donated; and the donated pairs. */
async function both(step: Step, specs: Tree<TensorSpec>, steps = 5) {
  const batch = (i: number) => ({ x: hostArray("float32", [4, 8], pseudo(100 + i, 32)) });
  const carried = await engine.load(compiled(step, specs));
  let state = initial(specs);
  for (let i = 0; i < steps; i++)
    state = ((await engine.run(carried, [state, batch(i)])) as { state: Tree<HostArray> }).state;

  const program = compiled(step, specs, donating);
  const donated = await engine.load(program);
  const residents: Tree<Resident> = await engine.put(initial(specs));
  for (let i = 0; i < steps; i++) await engine.run(donated, [residents, batch(i)]);
  const inPlace = Object.fromEntries(
    Object.entries(program.donated).map(([name, pair]) => [name.replace("state.", ""), pair.inPlace]),
  );
  return { carried: lists(state), donated: lists(await engine.get(residents)), inPlace };
}

const two = { a: float(8, 8), b: float(8, 8) };
const lossOf = (p: State, x: Tensor) =>
  op.mean(op.square(op.matmul(op.tanh(op.matmul(x, p.a as Tensor)), p.b as Tensor)));

describe("donated state", () => {
  it("is not written in place where a gradient may still need it, and is correct all the same", async () => {
    // b is read by the product that gives a's gradient, which may run after b's update.
    const sgd: Step = (p, x) => {
      const [da, db] = gradientOf(lossOf(p, x), [p.a as Tensor, p.b as Tensor]) as [Tensor, Tensor];
      return {
        state: { a: op.sub(p.a as Tensor, op.mul(da, 0.5)), b: op.sub(p.b as Tensor, op.mul(db, 0.5)) },
      };
    };
    const { carried, donated, inPlace } = await both(sgd, two);
    expect(inPlace.b).toBe(false);
    expect(donated).toEqual(carried);
  });

  it("is written in place when a global norm stands between all gradients and all updates (AdamW)", async () => {
    const specs = { p: two, m: two, v: two };
    const adamw: Step = (s, x) => {
      const p = s.p as Record<string, Tensor>;
      const names = Object.keys(p);
      const gradients = gradientOf(lossOf(p, x), Object.values(p));
      const norm = op.sqrt(op.addAll(gradients.map((g) => op.sum(op.square(g)))));
      const scale = op.minimum(op.div(1, op.add(norm, 1e-6)), 1);
      const next: Record<string, Record<string, Tensor>> = { p: {}, m: {}, v: {} };
      for (const [i, name] of names.entries()) {
        const g = op.mul(gradients[i] as Tensor, scale);
        const [m0, v0] = [(s.m as State)[name] as Tensor, (s.v as State)[name] as Tensor];
        const m = op.add(op.mul(m0, 0.9), op.mul(g, 0.1));
        const v = op.add(op.mul(v0, 0.999), op.mul(op.square(g), 0.001));
        const update = op.div(m, op.add(op.sqrt(v), 1e-8));
        const decayed = op.mul(p[name] as Tensor, 1 - 1e-3);
        Object.assign(next.p as object, { [name]: op.sub(decayed, op.mul(update, 1e-2)) });
        Object.assign(next.m as object, { [name]: m });
        Object.assign(next.v as object, { [name]: v });
      }
      return { state: next, norm };
    };
    const { carried, donated, inPlace } = await both(adamw, specs, 8);
    expect(Object.values(inPlace).every(Boolean), JSON.stringify(inPlace)).toBe(true);
    expect(donated).toEqual(carried);
  });

  const one = { a: float(4, 8) };
  const bump = (p: State, by: Tensor) => op.add(p.a as Tensor, by);

  it.each<[string, Step]>([
    ["is itself among the results", (p, x) => ({ state: { a: bump(p, x) }, old: p.a as Tensor })],
    [
      "is read through a view after the update",
      (p, x) => ({ state: { a: bump(p, x) }, later: op.exp(op.reshape(p.a as Tensor, [32])) }),
    ],
    [
      "is returned through a view",
      (p, x) => ({ state: { a: bump(p, x) }, view: op.reshape(p.a as Tensor, [32]) }),
    ],
    [
      "is read beside the update",
      (p, x) => ({ state: { a: bump(p, x) }, other: op.sum(op.mul(p.a as Tensor, x)) }),
    ],
    [
      "is replaced by what is not elementwise",
      (p, x) => ({ state: { a: op.matmul(p.a as Tensor, op.matmul(x, x, { transposeA: true })) } }),
    ],
  ])("stays where it is while it %s", async (_, step) => {
    const { carried, donated, inPlace } = await both(step, one);
    expect(inPlace).toEqual({ a: false });
    expect(donated).toEqual(carried);
  });

  it("leaves the other results untouched by the update", async () => {
    const step: Step = (p, x) => ({
      state: { a: bump(p, x) },
      old: p.a as Tensor,
      view: op.reshape(p.a as Tensor, [32]),
    });
    const executable = await engine.load(compiled(step, one, donating));
    const before = initial(one);
    const state = await engine.put(before);
    const result = (await engine.run(executable, [
      state,
      { x: hostArray("float32", [4, 8], pseudo(3, 32)) },
    ])) as Record<string, HostArray>;
    for (const name of ["old", "view"]) expect(result[name]?.data).toEqual((before.a as HostArray).data);
  });

  it("may exchange its parts", async () => {
    const { carried, donated } = await both(
      (p) => ({ state: { a: p.b as Tensor, b: p.a as Tensor } }),
      two,
      3,
    );
    expect(donated).toEqual(carried);
  });

  it("must come back with the shape it had", () => {
    const step: Step = (p) => ({ state: { a: op.sum(p.a as Tensor) } });
    expect(() => compiled(step, one, donating)).toThrow(
      "state.a is donated with shape [] float32, its argument has [4,8] float32",
    );
    expect(() => compiled((p) => ({ state: { c: p.a as Tensor } }), one, donating)).toThrow(
      "there is no argument 0:c",
    );
  });
});

describe("frozen arguments", () => {
  const fn = (w: Tree<Tensor>, t: Tree<Tensor>) => ({ y: op.matmul(t.x as Tensor, w.w as Tensor) });
  const specs = [{ w: float(8, 2) }, { x: { dtype: "float32", shape: ["B", 8] } }] as const;
  const w = hostArray("float32", [8, 2], pseudo(5, 16));
  const x = hostArray("float32", [3, 8], pseudo(6, 24));

  it("give what the same values give as an argument", async () => {
    const frozen = await engine.load(compile(fn, specs, { freeze: { 0: { w } } }));
    const given = await engine.load(compile(fn, specs));
    expect(frozen.program.inputs.map(({ name }) => name)).toEqual(["1:x"]);
    expect(await engine.run(frozen, [{}, { x }])).toEqual(await engine.run(given, [{ w }, { x }]));
  });

  it("need a value for each leaf, of its shape", () => {
    expect(() => compile(fn, specs, { freeze: { 0: {} } })).toThrow(
      "argument 0 is frozen, but w has no value",
    );
    expect(() => compile(fn, specs, { freeze: { 0: { w: x } } })).toThrow(
      "0:w: float32 [8, 2] is required, got float32 [3, 8]",
    );
  });
});

describe("a program's results", () => {
  it("may be inputs, constants, or the same value twice", async () => {
    const program = compile(
      ({ x }) => ({
        same: x as Tensor,
        one: op.scalar(1),
        y: op.exp(x as Tensor),
        deep: { y: op.exp(x as Tensor) },
      }),
      [{ x: float(2) }],
    );
    const result = await engine.run(await engine.load(program), [{ x: hostArray("float32", [2], [0, 0]) }]);
    expect(
      Object.fromEntries(Object.entries(flatten(result)).map(([k, v]) => [k, [...(v as HostArray).data]])),
    ).toEqual({
      same: [0, 0],
      one: [1],
      y: [1, 1],
      "deep.y": [1, 1],
    });
  });

  it("cannot read a tensor that is no argument", () => {
    let stray: Tensor | undefined;
    compile(
      ({ x }) => {
        stray = x as Tensor;
        return { y: op.exp(x as Tensor) };
      },
      [{ x: float(2) }],
    );
    expect(() =>
      compile(({ x }) => ({ y: op.add(x as Tensor, stray as Tensor) }), [{ x: float(2) }]),
    ).toThrow("reads the input 0:x, which is not among its inputs");
  });

  it("cannot need the size of a name that no input has", () => {
    expect(() => compile(({ x }) => ({ y: op.expand(x as Tensor, ["N", 2]) }), [{ x: float(2) }])).toThrow(
      "the size of N is not known: no input has it",
    );
  });
});
