import { fromBinary } from "@bufbuild/protobuf";
import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import {
  AttuneError,
  add,
  arange,
  type CompileOptions,
  cast,
  compile,
  concat,
  constant,
  dimValue,
  div,
  expandDims,
  full,
  gather,
  grad,
  greaterEqual,
  type HostArray,
  hostArray,
  keepIfFinite,
  LocalEngine,
  log,
  matmul,
  mean,
  mul,
  reshape,
  scan,
  sliceBatch,
  sliceTo,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tanh,
  tokenLogProbs,
  transpose,
  type Value,
  valueAndGrad,
  zerosLike,
} from "./index.ts";
import { ModelProtoSchema } from "./lower/onnx/onnx.gen.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

const f32 = (shape: readonly (number | string)[]): TensorSpec => ({ dtype: "float32", shape });
const i64 = (shape: readonly (number | string)[]): TensorSpec => ({ dtype: "int64", shape });
const floats = (shape: readonly number[], values: ArrayLike<number>) => hostArray("float32", shape, values);
const ints = (shape: readonly number[], values: ArrayLike<number>) => hostArray("int64", shape, values);
const wave = (n: number, phase = 0) => Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + phase));
const numbers = (value: unknown) =>
  Array.from((value as HostArray).data as ArrayLike<number | bigint>, Number);

async function run<const S extends readonly Tree<TensorSpec>[]>(
  fn: (...args: { [K in keyof S]: Tree<Tensor> }) => Tree<Tensor>,
  specs: S,
  args: readonly Tree<Value>[],
  options?: CompileOptions,
): Promise<Tree<Value>> {
  return engine.run(await engine.load(compile(fn, specs, options)), args);
}

/** Operators of a model's own graph, without those of its loops' bodies. */
const outerOperators = (bytes: Uint8Array): string[] =>
  (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map(({ opType }) => opType);

type Model = { w: Tensor; e: Tensor };
type Adam = { params: Tree<Tensor>; m: Tree<Tensor>; v: Tree<Tensor> };

/** Mean surprise of labels under a network with an embedding that receives gradients by index. */
function lossOf(params: Tree<Tensor>, ids: Tensor, labels: Tensor): Tensor {
  const { w, e } = params as Model;
  const hidden = tanh(gather(e, ids)); // [B, D]
  return sub(0, mean(tokenLogProbs(matmul(hidden, w), labels)));
}

function adamStep({ params, m, v }: Adam, ids: Tensor, labels: Tensor): [Adam, Tensor] {
  const [loss, g] = valueAndGrad((p: Tree<Tensor>) => lossOf(p, ids, labels))(params);
  const next = { params: {}, m: {}, v: {} } as { [K in keyof Adam]: Record<string, Tensor> };
  for (const key of ["w", "e"]) {
    const [p, dp] = [params[key] as Tensor, g[key] as Tensor];
    next.m[key] = add(mul(m[key] as Tensor, 0.9), mul(dp, 0.1));
    next.v[key] = add(mul(v[key] as Tensor, 0.99), mul(mul(dp, dp), 0.01));
    next.params[key] = sub(p, div(mul(next.m[key], 0.05), add(sqrt(next.v[key]), 1e-6)));
  }
  return [next, loss];
}

const [V, D, K, B] = [7, 5, 4, 3];
const shapes = { w: f32([D, V]), e: f32([V, D]) };
const adamSpecs = { params: shapes, m: shapes, v: shapes };
const initial = () => ({
  params: { w: floats([D, V], wave(D * V)), e: floats([V, D], wave(V * D, 1)) },
  m: { w: floats([D, V], new Float32Array(D * V)), e: floats([V, D], new Float32Array(V * D)) },
  v: { w: floats([D, V], new Float32Array(D * V)), e: floats([V, D], new Float32Array(V * D)) },
});
const ids = Array.from({ length: K * B }, (_, i) => (i * 5) % V);
const labels = Array.from({ length: K * B }, (_, i) => (i * 3 + 1) % V);

describe("scan", () => {
  const scanned = (state: Tree<Tensor>, xs: Tree<Tensor>) => {
    const { carry, ys } = scan(
      (c: Tree<Tensor>, x: Tree<Tensor>) => {
        const [next, loss] = adamStep(c as unknown as Adam, x.ids as Tensor, x.labels as Tensor);
        return { carry: next as unknown as Tree<Tensor>, y: { loss } };
      },
      { carry: state, xs },
    );
    return { carry, ys };
  };

  const single = (state: Tree<Tensor>, x: Tree<Tensor>) => {
    const [next, loss] = adamStep(state as unknown as Adam, x.ids as Tensor, x.labels as Tensor);
    return { carry: next as unknown as Tree<Tensor>, loss };
  };

  it("of K optimiser steps gives the bits of the K steps one by one, and their losses", async () => {
    const specs = [adamSpecs, { ids: i64(["K", "B"]), labels: i64(["K", "B"]) }] as const;
    const all = await run(scanned, specs, [
      initial(),
      { ids: ints([K, B], ids), labels: ints([K, B], labels) },
    ]);
    const step = await engine.load(
      compile(single, [adamSpecs, { ids: i64(["B"]), labels: i64(["B"]) }] as const),
    );
    let state: Tree<Value> = initial();
    const losses: number[] = [];
    for (let k = 0; k < K; k++) {
      const part = (values: number[]) => ints([B], values.slice(k * B, (k + 1) * B));
      const out = await engine.run(step, [state, { ids: part(ids), labels: part(labels) }]);
      state = out.carry as Tree<Value>;
      losses.push(...numbers(out.loss));
    }
    expect(numbers((all.ys as Tree<Value>).loss)).toEqual(losses);
    expect(all.carry).toEqual(state);
    expect(losses.at(-1)).toBeLessThan(losses[0] as number);
  });

  it("keeps donated state with the engine without writing over what the loop still reads", async () => {
    const specs = [adamSpecs, { ids: i64(["K", "B"]), labels: i64(["K", "B"]) }] as const;
    const xs = { ids: ints([K, B], ids), labels: ints([K, B], labels) };
    const program = compile(scanned, specs, { donate: { carry: 0 } });
    expect(Object.values(program.donated).some(({ inPlace }) => inPlace)).toBe(false);
    const executable = await engine.load(program);
    let resident: Tree<Value> = await engine.put(initial());
    let plain: Tree<Value> = initial();
    for (let round = 0; round < 3; round++) {
      resident = (await engine.run(executable, [resident, xs])).carry as Tree<Value>;
      plain = (await engine.run(executable, [plain, xs])).carry as Tree<Value>;
    }
    expect(await engine.get(resident as never)).toEqual(plain);
  });

  it("computes once, outside, what does not depend on the iteration", async () => {
    const fn = ({ a, b }: Tree<Tensor>) =>
      scan((c: { x: Tensor }) => ({ carry: { x: add(c.x, matmul(a as Tensor, b as Tensor)) } }), {
        carry: { x: zerosLike(a as Tensor) },
        length: 5,
      }).carry;
    const program = compile(fn, [{ a: f32([2, 2]), b: f32([2, 2]) }] as const);
    expect(outerOperators(program.model.bytes)).toContain("MatMul");
    const out = await engine.run(await engine.load(program), [
      { a: floats([2, 2], [1, 2, 3, 4]), b: floats([2, 2], [1, 0, 0, 1]) },
    ]);
    expect(numbers(out.x)).toEqual([5, 10, 15, 20]);
  });

  it("stops after the iteration whose until holds, and leaves out the results of later ones", async () => {
    const fn = ({ limit, xs }: Tree<Tensor>) => {
      const { carry, ys, iterations } = scan(
        (c: { total: Tensor }, x: { v: Tensor }, i) => {
          const total = add(c.total, x.v);
          return { carry: { total }, y: { total, i }, until: greaterEqual(total, limit as Tensor) };
        },
        { carry: { total: mul(limit as Tensor, 0) }, xs: { v: xs as Tensor } },
      );
      return {
        ...carry,
        ys,
        iterations,
        twice: mul(ys.total as Tensor, 2),
        spread: add(ys.total as Tensor, cast(arange(ys.total?.shape[0] as string), "float32")),
      };
    };
    const specs = [{ limit: f32([]), xs: f32(["K"]) }] as const;
    const xs = floats([6], [1, 2, 3, 4, 5, 6]);
    const out = await run(fn, specs, [{ limit: floats([], [6]), xs }]);
    expect(numbers(out.total)).toEqual([6]);
    expect(numbers((out.ys as Tree<Value>).total)).toEqual([1, 3, 6]);
    expect(numbers((out.ys as Tree<Value>).i)).toEqual([0, 1, 2]);
    expect(numbers(out.twice)).toEqual([2, 6, 12]);
    expect(numbers(out.spread)).toEqual([1, 4, 8]);
    expect(numbers(out.iterations)).toEqual([3]);
    const whole = await run(fn, specs, [{ limit: floats([], [100]), xs }]);
    expect(numbers(whole.iterations)).toEqual([6]);
    expect(numbers(whole.total)).toEqual([21]);
  });

  it("runs inside a scan and reads constants and values of all graphs around it", async () => {
    const table = constant(floats([3], [10, 20, 30]));
    const big = constant(floats([40], wave(40)));
    const fn = ({ x, y }: Tree<Tensor>) => {
      const shared = mul(x as Tensor, 2); // [B]
      const { carry, ys } = scan(
        (outer: { a: Tensor }, { row }: { row: Tensor }, i) => {
          const scaled = mul(row, gather(table, i)); // [B]
          const inner = scan(
            (c: { a: Tensor }, _: Record<string, never>, j) => ({
              carry: { a: add(add(c.a, scaled), add(shared, sum(gather(big, j)))) },
            }),
            { carry: { a: outer.a }, length: 2 },
          );
          return { carry: inner.carry, y: { width: dimValue("B", "float32"), scaled } };
        },
        { carry: { a: x as Tensor }, xs: { row: y as Tensor } },
      );
      return { ...carry, ...ys, shared };
    };
    const x = [1, -2];
    const y = [1, 2, 3, 4, 5, 6];
    const out = await run(fn, [{ x: f32(["B"]), y: f32([3, "B"]) }] as const, [
      { x: floats([2], x), y: floats([3, 2], y) },
    ]);
    const bias = 3 * ((wave(40)[0] as number) + (wave(40)[1] as number));
    const expected = x.map(
      (v, b) => v + 2 * [10, 20, 30].reduce((n, t, k) => n + t * (y[2 * k + b] as number), 0) + 12 * v + bias,
    );
    for (const [b, v] of numbers(out.a).entries()) expect(v).toBeCloseTo(expected[b] as number, 3);
    expect(numbers(out.width)).toEqual([2, 2, 2]);
    expect(numbers(out.scaled)).toEqual([10, 20, 60, 80, 150, 180]);
    expect(numbers(out.shared)).toEqual([2, -4]);
  });

  it("refuses a carry that changes its shape, leading axes that differ, and a gradient through it", () => {
    const x = constant(floats([2], [1, 2]));
    const twice = { carry: { x }, length: 2 };
    expect(() => scan((c: { x: Tensor }) => ({ carry: { x: concat([c.x, c.x], 0) } }), twice)).toThrow(
      /x is carried as float32 \[2\]/,
    );
    expect(() => scan((c: { x: Tensor }) => ({ carry: { x: cast(c.x, "int64") } }), twice)).toThrow(/int64/);
    expect(() => scan((c: { x: Tensor }) => ({ carry: c }), { carry: { x } })).toThrow(/length/);
    const uneven = { a: x, b: constant(floats([3], [1, 2, 3])) };
    expect(() => scan((c: { x: Tensor }) => ({ carry: c }), { carry: { x }, xs: uneven })).toThrow(
      /b has 3 elements/,
    );
    const loss = (p: Tree<Tensor>) =>
      sum(scan((c: { x: Tensor }) => ({ carry: { x: mul(c.x, p.w as Tensor) } }), twice).carry.x);
    expect(() => compile((p) => grad(loss)(p), [{ w: f32([]) }] as const)).toThrow(AttuneError);
    expect(() => compile((p) => grad(loss)(p), [{ w: f32([]) }] as const)).toThrow(/scan.*inside/);
  });
});

describe("ragged batches", () => {
  /** Attention-like work over the first `length` positions only. */
  const body = (x: Tensor, ids: Tensor, t: string) => {
    const scores = softmax(matmul(x, transpose(x))); // [B, t, t]
    const mixed = matmul(scores, x); // [B, t, D]
    const places = cast(reshape(arange(t), [1, t, 1]), "float32");
    return sum(mul(mixed, add(places, expandDims(cast(ids, "float32"), 2))));
  };

  it("are cut to each iteration's own length, whatever stands in the padding", async () => {
    const [K, B, T, D] = [3, 2, 4, 3];
    const lengths = [2, 4, 1];
    const fn = (c: Tree<Tensor>, xs: Tree<Tensor>) => {
      const { carry, ys } = scan(
        (state: Tree<Tensor>, x: Tree<Tensor>) => {
          const short = sliceBatch({ x: x.x as Tensor, ids: x.ids as Tensor }, "T", x.length as Tensor, "t");
          const value = (w: Tree<Tensor>) => body(mul(short.x, w.w as Tensor), short.ids, "t");
          const [loss, g] = valueAndGrad(value)(state);
          const zeros = sum(full(["t"], 1)); // reads the size alone
          return { carry: { w: sub(state.w as Tensor, mul(0.01, g.w as Tensor)) }, y: { loss, zeros } };
        },
        { carry: c, xs },
      );
      return { carry, ys };
    };
    const padded = wave(K * B * T * D).map((v, i) =>
      Math.floor(i / D) % T < (lengths[Math.floor(i / (B * T * D))] as number) ? v : Number.NaN,
    );
    const idsOf = Array.from({ length: K * B * T }, (_, i) => i % 5);
    const out = await run(
      fn,
      [
        { w: f32([D]) },
        { x: f32(["K", "B", "T", D]), ids: i64(["K", "B", "T"]), length: i64(["K"]) },
      ] as const,
      [
        { w: floats([D], [1, 0.5, -1]) },
        { x: floats([K, B, T, D], padded), ids: ints([K, B, T], idsOf), length: ints([K], lengths) },
      ],
    );
    const one = compile(
      (s, x) => {
        const [loss, g] = valueAndGrad((w: Tree<Tensor>) =>
          body(mul(x.x as Tensor, w.w as Tensor), x.ids as Tensor, "t"),
        )(s);
        return { carry: { w: sub(s.w as Tensor, mul(0.01, g.w as Tensor)) }, loss };
      },
      [{ w: f32([D]) }, { x: f32(["B", "t", D]), ids: i64(["B", "t"]) }] as const,
    );
    const step = await engine.load(one);
    let state: Tree<Value> = { w: floats([D], [1, 0.5, -1]) };
    const losses: number[] = [];
    for (const [k, t] of lengths.entries()) {
      const keep = <A>(values: A[], width: number) =>
        values.filter((_, i) => Math.floor(i / (B * T * width)) === k && Math.floor(i / width) % T < t);
      const next = await engine.run(step, [
        state,
        { x: floats([B, t, D], keep(padded, D)), ids: ints([B, t], keep(idsOf, 1)) },
      ]);
      losses.push(...numbers(next.loss));
      state = next.carry as Tree<Value>;
    }
    const ys = out.ys as Tree<Value>;
    for (const [k, v] of numbers(ys.loss).entries()) expect(v).toBeCloseTo(losses[k] as number, 4);
    expect(numbers(ys.zeros)).toEqual(lengths);
    for (const [d, v] of numbers((out.carry as Tree<Value>).w).entries())
      expect(v).toBeCloseTo(numbers(state.w)[d] as number, 5);
  });

  it("can be cut outside a scan, and the gradient is zero beyond the cut", async () => {
    const fn = ({ x, n }: Tree<Tensor>) => ({
      g: grad((p: Tree<Tensor>) => sum(square(sliceTo(p.x as Tensor, 0, n as Tensor, "n"))))({
        x: x as Tensor,
      }),
    });
    const out = await run(fn, [{ x: f32(["T"]), n: i64([]) }] as const, [
      { x: floats([5], [1, 2, 3, 4, 5]), n: ints([], [3]) },
    ]);
    expect(numbers((out.g as Tree<Value>).x)).toEqual([2, 4, 6, 0, 0]);
  });

  it("refuse one name for two lengths, and results whose size depends on the iteration", () => {
    const spec = [{ x: f32(["T"]), n: i64([]), m: i64([]) }] as const;
    const fn = ({ x, n, m }: Tree<Tensor>) => ({
      a: sum(sliceTo(x as Tensor, 0, n as Tensor, "t")),
      b: sum(sliceTo(x as Tensor, 0, m as Tensor, "t")),
    });
    expect(() => compile(fn, spec)).toThrow(/t gets two different sizes/);
    const leak = ({ x, n }: Tree<Tensor>) =>
      scan(
        (c: Tree<Tensor>, _: Record<string, never>, i) => ({
          carry: c,
          y: { x: sliceTo(x as Tensor, 0, i, "t") },
        }),
        {
          carry: { n: n as Tensor },
          length: 2,
        },
      ).ys;
    expect(() => compile(leak, spec)).toThrow(/changes its size t/);
  });
});

describe("keepIfFinite", () => {
  it("keeps the old state where an update is not finite, and goes on afterwards", async () => {
    const fn = (c: Tree<Tensor>, { xs }: Tree<Tensor>) => {
      const { carry, ys } = scan(
        (state: Tree<Tensor>, x: { v: Tensor }) => {
          const loss = log(x.v);
          const next = { w: add(state.w as Tensor, loss), n: add(state.n as Tensor, 1) };
          return { carry: keepIfFinite(next, state, loss), y: { loss } };
        },
        { carry: c, xs: { v: xs as Tensor } },
      );
      return { ...carry, ...ys };
    };
    const out = await run(fn, [{ w: f32([2]), n: i64([]) }, { xs: f32(["K"]) }] as const, [
      { w: floats([2], [1, 2]), n: ints([], [0]) },
      { xs: floats([4], [1, 0, -1, 1]) },
    ]);
    expect(numbers(out.w)).toEqual([1, 2]);
    expect(numbers(out.n)).toEqual([2]);
    expect(numbers(out.loss)).toEqual([0, Number.NEGATIVE_INFINITY, Number.NaN, 0]);
  });
});
