/**
 * A program of its own that trains a deep chain once, with or without checkpoints, and prints its peak memory:
 * `node --import scripts/register-ts.js checkpoint.fixture.ts (plain | checkpointed)`.
 */
import * as ort from "onnxruntime-node";
import { zerosArray } from "../array.ts";
import { compile } from "../compile.ts";
import { LocalEngine } from "../engine/engine.ts";
import { matmul, mean, square, sub, tanh } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";
import { checkpoint } from "./checkpoint.ts";
import { gradientOf } from "./grad.ts";

const [layers, group, rows, width] = [64, 8, 8192, 128];
const names = Array.from({ length: layers }, (_, i) => `w${i}`);
const wrap = process.argv[2] === "checkpointed";

const program = compile(
  (t) => {
    let h = t.x as Tensor;
    for (let i = 0; i < layers; i += group) {
      const body = (x: Tensor) =>
        names.slice(i, i + group).reduce((y, w) => tanh(matmul(y, t[w] as Tensor)), x);
      h = wrap ? checkpoint(body)(h) : body(h);
    }
    const gradients = gradientOf(
      mean(square(h)),
      names.map((w) => t[w] as Tensor),
    );
    // ONNX Runtime computes the last result first, and the last layer's gradient is the first to be there.
    return Object.fromEntries(names.map((w, i) => [w, sub(t[w] as Tensor, gradients[i] as Tensor)]));
  },
  [
    {
      x: { dtype: "float32", shape: [rows, width] },
      ...Object.fromEntries(names.map((w) => [w, { dtype: "float32", shape: [width, width] }])),
    },
  ],
);
const engine = new LocalEngine(ort, { threads: 1 });
const executable = await engine.load(program);
const zeros = (...shape: number[]) => zerosArray("float32", shape);
await engine.run(executable, [
  { x: zeros(rows, width), ...Object.fromEntries(names.map((w) => [w, zeros(width, width)])) },
]);
console.log(process.resourceUsage().maxRSS);
