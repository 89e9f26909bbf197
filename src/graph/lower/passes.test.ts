import { describe, expect, it } from "vitest";
import { countOps } from "../autodiff/count.fixture.ts";
import { gradientOf } from "../autodiff/grad.ts";
import * as op from "../ops/index.ts";
import { input, type Tensor } from "../tensor.ts";

const x = () => input("x", "float32", ["B", 4]);
const matrix = (name: string, rows = 4, columns = 4) => input(name, "float32", [rows, columns]);

describe("merging equal nodes", () => {
  it("computes an expression once, however often it is written", () => {
    const a = x();
    const twice = op.mul(op.tanh(op.exp(a)), op.sigmoid(op.exp(a)));
    expect(countOps(twice)).toMatchObject({ exp: 1, tanh: 1, sigmoid: 1 });
    expect(countOps(op.exp(a), op.exp(a))).toMatchObject({ exp: 1 });
  });

  it("merges what becomes equal only after its inputs are merged", () => {
    const a = x();
    const chain = () => op.tanh(op.exp(op.sin(a)));
    expect(countOps(op.mul(chain(), chain()))).toEqual({ input: 1, sin: 1, exp: 1, tanh: 1, mul: 1 });
  });

  it("keeps apart what differs in an attribute, a constant or an input", () => {
    const a = x();
    expect(countOps(op.max(a, 0), op.max(a, 1), op.max(a, 1, { keepDims: true }))).toMatchObject({ max: 3 });
    expect(countOps(op.mul(a, 2), op.mul(a, 3), op.mul(a, 2))).toMatchObject({ mul: 2, constant: 2 });
    const b = input("y", "float32", ["B", 4]);
    expect(countOps(op.exp(a), op.exp(b))).toMatchObject({ exp: 2 });
    expect(countOps(op.cast(a, "int64"), op.cast(a, "int32"))).toMatchObject({ cast: 2 });
  });

  it("merges the parts of operations that were decomposed", () => {
    const a = x();
    expect(countOps(op.mul(op.silu(a), op.sigmoid(a)))).toMatchObject({ sigmoid: 1 });
  });
});

describe("dead code", () => {
  it("vanishes: only what the outputs reach is left", () => {
    const a = x();
    op.exp(op.sin(a));
    expect(countOps(op.cos(a))).toEqual({ input: 1, cos: 1 });
  });

  it("a gradient computes no value of the loss that it does not read", () => {
    const a = x();
    const [gradient] = gradientOf(op.sum(op.mul(op.tanh(a), 3)), [a]) as [Tensor];
    expect(countOps(gradient).sum).toBeUndefined();
  });
});

describe("fusing", () => {
  const ids = () => input("ids", "int64", ["N"]);

  it("scatters into the sum's other part instead of into zeros", () => {
    const base = matrix("w");
    const rows = input("rows", "float32", ["N", 4]);
    const scattered = op.scatterAddRows(op.zerosLike(base), ids(), rows);
    for (const sum of [op.add(base, scattered), op.add(scattered, base)])
      expect(countOps(sum)).toEqual({ input: 3, scatterAddRows: 1 });
  });

  it("leaves a scatter alone that something else reads, or whose base is not zero", () => {
    const base = matrix("w");
    const rows = input("rows", "float32", ["N", 4]);
    const scattered = op.scatterAddRows(op.zerosLike(base), ids(), rows);
    expect(countOps(op.add(base, scattered), scattered)).toMatchObject({ add: 1, scatterAddRows: 1 });
    expect(countOps(op.add(base, op.scatterAddRows(op.onesLike(base), ids(), rows)))).toMatchObject({
      add: 1,
    });
  });

  it("a tied embedding gets one gradient, added up in place", () => {
    const w = matrix("w", 6, 4);
    const embedded = op.gather(w, ids());
    const logits = op.matmul(embedded, w, { transposeB: true });
    const [gradient] = gradientOf(op.sum(op.exp(logits)), [w]) as [Tensor];
    const counts = countOps(gradient);
    expect(counts).toMatchObject({ scatterAddRows: 1 });
    expect(counts.add).toBeUndefined();
  });

  it("a product and its bias become one Gemm, transposes included", () => {
    const [w, b] = [matrix("w"), input("b", "float32", [4])];
    expect(countOps(op.add(op.matmul(x(), w, { transposeB: true }), b))).toEqual({ input: 3, gemm: 1 });
    expect(countOps(op.add(b, op.matmul(x(), w)))).toEqual({ input: 3, gemm: 1 });
  });

  it("makes no Gemm where the product is read twice, batched, or float64", () => {
    const [w, b] = [matrix("w"), input("b", "float32", [4])];
    const product = op.matmul(x(), w);
    expect(countOps(op.add(product, b), op.exp(product))).toMatchObject({ matmul: 1, add: 1 });
    expect(countOps(op.add(op.matmul(input("x", "float32", ["B", 2, 4]), w), b)).gemm).toBeUndefined();
    const wide = (name: string, shape: number[]) => input(name, "float64", shape);
    expect(
      countOps(op.add(op.matmul(wide("a", [2, 4]), wide("w", [4, 4])), wide("b", [4]))).gemm,
    ).toBeUndefined();
  });

  it("a transpose of the last two axes disappears into the product", () => {
    expect(countOps(op.matmul(x(), op.transpose(matrix("w"))))).toEqual({ input: 2, matmul: 1 });
  });
});
