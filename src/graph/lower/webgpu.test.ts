import { expect, it } from "vitest";
import { compile } from "../compile.ts";
import { rotary } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";

it("rotary positions are what they mean under WebGPU, whose kernel the CPU's form does not fit", () => {
  const specs = {
    x: { dtype: "float32", shape: ["B", 2, "T", 8] },
    cosine: { dtype: "float32", shape: ["T", 4] },
    sine: { dtype: "float32", shape: ["T", 4] },
  } as const;
  const kernels = (provider: "cpu" | "webgpu") => {
    const fn = (t: Record<string, unknown>) => ({
      y: rotary(t.x as Tensor, t.cosine as Tensor, t.sine as Tensor),
    });
    const { model } = compile(fn, [specs] as const, { provider });
    return new TextDecoder("latin1").decode(model.bytes).includes("RotaryEmbedding");
  };
  expect([kernels("cpu"), kernels("webgpu")]).toEqual([true, false]);
});
