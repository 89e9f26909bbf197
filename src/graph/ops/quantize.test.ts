import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../array.ts";
import { compile } from "../compile.ts";
import { LocalEngine } from "../engine/engine.ts";
import type { Tensor } from "../tensor.ts";
import { dequantize, matmul } from "./index.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

const [rows, inner, columns] = [3, 70, 5];
const x = Float32Array.from({ length: rows * inner }, (_, i) => ((37 * i) % 101) / 100);
const scale = Float32Array.from({ length: columns }, (_, j) => 0.01 * (j + 1));
const at = (list: ArrayLike<number>, i: number) => list[i] as number;

/** x @ dequantize(weights, scale), as the engine computes it and in double precision. */
async function products(weights: Uint8Array) {
  const program = compile(
    ({ x, w, s }) => ({ y: matmul(x as Tensor, dequantize(w as Tensor, s as Tensor)) }),
    [
      {
        x: { dtype: "float32", shape: [rows, inner] },
        w: { dtype: "uint8", shape: [inner, columns] },
        s: { dtype: "float32", shape: [columns] },
      },
    ],
  );
  const arrays = {
    x: hostArray("float32", [rows, inner], x),
    w: hostArray("uint8", [inner, columns], weights),
    s: hostArray("float32", [columns], scale),
  };
  const { y } = (await engine.run(await engine.load(program), [arrays])) as { y: HostArray };
  const wanted = Array.from({ length: rows * columns }, (_, place) => {
    const [i, j] = [Math.floor(place / columns), place % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++)
      sum += at(x, i * inner + k) * (at(weights, k * columns + j) - 128) * at(scale, j);
    return sum;
  });
  return { found: Array.from(y.data as Float32Array), wanted };
}

describe("products with weights in 8 bits", () => {
  // In 16 bits, which some processors add up pairs of products in, the first two of these overflow.
  it.each([
    ["the largest", () => 255],
    ["the least", () => 1],
    ["mixed", (i: number) => (i * 89) % 256],
  ])("equal those with the weights that they stand for: %s", async (_, weight) => {
    const { found, wanted } = await products(
      Uint8Array.from({ length: inner * columns }, (_, i) => weight(i)),
    );
    // x is rounded to steps of 1 / 255: each product is off by half a step at most.
    for (const [place, value] of wanted.entries())
      expect(Math.abs(at(found, place) - value)).toBeLessThan(
        (0.5 / 255) * inner * 128 * at(scale, place % columns),
      );
  });
});
