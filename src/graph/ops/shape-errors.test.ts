import { describe, expect, it } from "vitest";
import type { Dim } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { input } from "../tensor.ts";
import * as op from "./index.ts";

describe("shape errors name the operation and both shapes", () => {
  const x = (...shape: Dim[]) => input("x", "float32", shape);
  const ids = (...shape: Dim[]) => input("i", "int64", shape);
  it.each<[string, () => unknown, string[]]>([
    ["add", () => op.add(x("B", 4), x("T", 4)), ["[B, 4]", "[T, 4]"]],
    ["mul", () => op.mul(x(2, 3), x(2)), ["[2, 3]", "[2]"]],
    ["where", () => op.where(op.equal(x(2), 0), x(3), x(1)), ["[2]", "[3]", "[1]"]],
    ["matmul", () => op.matmul(x("T", 4), x(5, 4)), ["[T, 4]", "[5, 4]"]],
    ["matmul", () => op.matmul(x("B", 3, 4), x("C", 4, 5)), ["[B, 3, 4]", "[C, 4, 5]"]],
    ["matmul", () => op.matmul(x(4), x(4, 5)), ["[4]", "[4, 5]"]],
    ["reshape", () => op.reshape(x("B", 4), ["B", 5]), ["[B, 4]", "[B, 5]"]],
    ["reshape", () => op.reshape(x("B", 4), [-1, 3]), ["[B, 4]", "[-1, 3]"]],
    ["expand", () => op.expand(x("B", 4), ["T", 4]), ["[B, 4]", "[T, 4]"]],
    ["concat", () => op.concat([x("B", 4), x("T", 3)], 1), ["[B, 4]", "[T, 3]"]],
    ["split", () => op.split(x("B", 4), [1, 2], 1), ["[1,2]", "[B, 4]"]],
    ["slice", () => op.slice(x("B", 4), 1, 0, 5), ["[B, 4]", "5"]],
    ["squeeze", () => op.squeeze(x("B", 4), 1), ["[B, 4]"]],
    ["transpose", () => op.transpose(x("B", 4), [0, 0]), ["[B, 4]", "[0,0]"]],
    ["gatherAlong", () => op.gatherAlong(x("B", 4), ids("T", 2)), ["[B, 4]", "[T, 2]"]],
    ["scatterAddAlong", () => op.scatterAddAlong(x(3, 4), ids(3, 2), x(3, 3)), ["[3, 2]", "[3, 3]"]],
    ["scatterAddRows", () => op.scatterAddRows(x(3, 4), ids(2), x(2, 5)), ["[3, 4]", "[2, 5]"]],
    ["layerNorm", () => op.layerNorm(x("B", 4), x(4), x(3)), ["[B, 4]", "[3]"]],
    ["rmsNorm", () => op.rmsNorm(x("B", 4), x(3)), ["[B, 4]", "[3]"]],
    ["rotary", () => op.rotary(x("B", 2, "T", 4), x("T", 4), x("T", 4)), ["[B, 2, T, 4]", "[T, 4]"]],
    [
      "attention",
      () => op.attention(x("B", 4, "T", 8), x("B", 3, "T", 8), x("B", 3, "T", 8)),
      ["[B, 4, T, 8]", "[B, 3, T, 8]"],
    ],
    ["tokenLogProbs", () => op.tokenLogProbs(x("N", 5), ids("M")), ["[N, 5]", "[M]"]],
    ["topK", () => op.topK(x("B", 4), 5), ["[B, 4]", "5"]],
    ["sum", () => op.sum(x("B", 4), 2), ["[B, 4]", "2"]],
  ])("%s", (name, fn, parts) => {
    expect(fn).toThrow(ShapeError);
    for (const part of [`${name}:`, ...parts]) expect(fn).toThrow(part);
  });

  it("a mix of dtypes is refused with both names", () => {
    expect(() => op.add(x(2), ids(2))).toThrow(
      "add: both operands must have one dtype, got float32 and int64",
    );
    expect(() => op.gather(x(2, 3), x(2))).toThrow("gather: indices must be int64 or int32, got float32");
  });
});
