import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type DType, type HostArray, hostArray, zerosArray } from "../array.ts";
import { compile } from "../compile.ts";
import type { Dim } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { add, concat, gather, matmul, mul } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";
import { flatten, type Tree } from "../tree.ts";
import { LocalEngine } from "./engine.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

const spec = (dtype: DType, ...shape: Dim[]) => ({ dtype, shape });
const scaled = (factor: number, size: Dim = "N") =>
  compile(({ x }) => ({ y: mul(x as Tensor, factor) }), [{ x: spec("float32", size) }]);
const x = hostArray("float32", [2], [1, 2]);
const list = (value: unknown) => [...(value as HostArray).data].map(Number);

describe("loading", () => {
  it("compiles the same program once", async () => {
    expect(await engine.load(scaled(2))).toBe(await engine.load(scaled(2)));
    expect(await engine.load(scaled(3))).not.toBe(await engine.load(scaled(2)));
  });

  it("keeps apart programs that differ in what they donate alone", async () => {
    const fn = (s: Tree<Tensor>) => ({ state: { x: add(s.x as Tensor, 1) } });
    const specs = [{ x: spec("float32", 2) }];
    const plain = await engine.load(compile(fn, specs));
    const donating = await engine.load(compile(fn, specs, { donate: { state: 0 } }));
    expect(donating).not.toBe(plain);
    expect(flatten(await engine.run(plain, [{ x }]))["state.x"]).toMatchObject({
      data: new Float32Array([2, 3]),
    });
  });

  it("drops the session that was not used for the longest time when the budget is spent", async () => {
    const size = scaled(2).model.bytes.byteLength;
    const small = new LocalEngine(ort, { threads: 1, cacheBytes: 2.5 * size });
    const [two, three] = [await small.load(scaled(2)), await small.load(scaled(3))];
    await small.run(two, [{ x }]);
    await small.load(scaled(4));
    expect(list((await small.run(two, [{ x }])).y)).toEqual([2, 4]);
    await expect(small.run(three, [{ x }])).rejects.toThrow("no longer loaded; load it again");
    expect(list((await small.run(await small.load(scaled(3)), [{ x }])).y)).toEqual([3, 6]);
    await small.dispose();
  });
});

describe("running", () => {
  it("refuses what does not fit, by the input's name", async () => {
    const program = await engine.load(scaled(2, 2));
    await expect(engine.run(program, [{ x: hostArray("float32", [3], [1, 2, 3]) }])).rejects.toThrow(
      ShapeError,
    );
    await expect(engine.run(program, [{ x: hostArray("float32", [3], [1, 2, 3]) }])).rejects.toThrow(
      "0:x: float32 [2] is required, got float32 [3]",
    );
    await expect(engine.run(program, [{}])).rejects.toThrow("argument 0 has no x");
  });

  it("refuses two sizes for one name", async () => {
    const program = await engine.load(
      compile(
        ({ a, b }) => ({ y: add(a as Tensor, b as Tensor) }),
        [{ a: spec("float32", "B"), b: spec("float32", "B") }],
      ),
    );
    const b = hostArray("float32", [1], [1]);
    await expect(engine.run(program, [{ a: x, b }])).rejects.toThrow("0:b: B is 1 here and 2 in 0:a");
  });

  it("takes empty batches", async () => {
    const program = await engine.load(
      compile(
        ({ a, w }) => ({ y: matmul(a as Tensor, w as Tensor) }),
        [{ a: spec("float32", "B", 2), w: spec("float32", 2, 3) }],
      ),
    );
    const { y } = await engine.run(program, [
      { a: zerosArray("float32", [0, 2]), w: zerosArray("float32", [2, 3]) },
    ]);
    expect((y as HostArray).shape).toEqual([0, 3]);
  });

  it("runs other sizes of the same names without loading again", async () => {
    const program = await engine.load(
      compile(
        ({ a, b }) => ({ y: concat([a as Tensor, b as Tensor], 0) }),
        [{ a: spec("float32", "A"), b: spec("float32", "B") }],
      ),
    );
    for (const n of [1, 3, 7]) {
      const { y } = await engine.run(program, [{ a: x, b: zerosArray("float32", [n]) }]);
      expect((y as HostArray).shape).toEqual([n + 2]);
    }
  });

  it("says what the runtime refused while it ran", async () => {
    const program = await engine.load(
      compile(
        ({ w, i }) => ({ y: gather(w as Tensor, i as Tensor) }),
        [{ w: spec("float32", 2), i: spec("int64", "N") }],
      ),
    );
    const wrong = engine.run(program, [{ w: x, i: hostArray("int64", [1], [5]) }]);
    await expect(wrong).rejects.toMatchObject({ name: "RuntimeError" });
    await expect(wrong).rejects.toThrow("the cpu provider failed");
  });

  it.each<DType>(["float32", "float64", "int64", "int32", "uint8", "bool"])(
    "passes %s through",
    async (dtype) => {
      const program = await engine.load(
        compile(({ a }) => ({ y: concat([a as Tensor, a as Tensor], 0) }), [{ a: spec(dtype, "N") }]),
      );
      const { y } = await engine.run(program, [{ a: hostArray(dtype, [2], [1, 0]) }]);
      expect((y as HostArray).dtype).toBe(dtype);
      expect(list(y)).toEqual([1, 0, 1, 0]);
    },
  );
});

describe("residents", () => {
  it("count their bytes and are gone after free", async () => {
    const before = engine.residentBytes;
    const tree = await engine.put({ a: x, deep: { b: zerosArray("float64", [3]) } });
    expect(engine.residentBytes - before).toBe(32);
    expect(await engine.get(tree)).toEqual({ a: x, deep: { b: zerosArray("float64", [3]) } });
    await engine.free(tree);
    expect(engine.residentBytes).toBe(before);
    await expect(engine.get(tree)).rejects.toThrow("freed");
  });

  it("must hold as many values as their shape says", async () => {
    await expect(engine.put({ a: { ...x, shape: [3] } })).rejects.toThrow("put: [3] does not hold 2 values");
  });
});
