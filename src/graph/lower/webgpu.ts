/**
 * How ONNX Runtime's WebGPU provider runs each operation.
 *
 * It has no kernel for `FusedMatMul`, `LogSoftmax` and comparisons of int64, and a node without a kernel runs
 * on the CPU, with its inputs copied there and its results back. Products therefore are `Gemm`, or `MatMul`
 * of transposed operands, and log softmax is what it means. Comparisons of int64 stay on the CPU on purpose:
 * they are exact there, and work on token ids and positions, which are small and come from the host anyway.
 *
 * There are no doubles on the card, nor any kernel for them in the web package's build: what a graph computes
 * in float64 between float32 values (AdamW's 1 - b^t) is computed in float32, with a relative error of 1e-5
 * in the first steps.
 */
import { type DType, type HostArray, hostArray } from "../array.ts";
import { addDims, type Dim } from "../dims.ts";
import type { Tensor } from "../tensor.ts";
import { biasIntoProduct, cpuLowering, cpuTakes, plainProduct } from "./cpu.ts";
import {
  type Lowering,
  type LoweringRule,
  type LoweringTable,
  lowered,
  standardLowering,
} from "./lowering.ts";
import { onnxTypes } from "./onnx/builder.ts";

/** Buffers that one shader may bind, in every implementation, less one for its result. */
const inputsPerShader = 7;

const product: LoweringRule = (b, node, inputs, table) => {
  const { transposeA, transposeB, alpha } = node.attributes;
  const isMatrix = node.inputs.every((x) => x.shape.length === 2) && node.outputs[0]?.dtype === "float32";
  if (!isMatrix || (!transposeA && !transposeB && alpha === 1)) return plainProduct(b, node, inputs, table);
  return b.emit("Gemm", inputs, {
    transA: Number(transposeA),
    transB: Number(transposeB),
    alpha: { float: alpha as number },
  });
};

/** `Split` binds a buffer for each of its results; many results are slices instead. */
const split: LoweringRule = (b, node, inputs, table) => {
  const { sizes, axis } = node.attributes as { sizes: readonly Dim[]; axis: number };
  if (sizes.length <= inputsPerShader)
    return (standardLowering.split as LoweringRule)(b, node, inputs, table);
  let start: Dim = 0;
  return sizes.map((size) => {
    const end = addDims(start, size);
    const part = b.emit("Slice", [inputs[0] as string, b.size(start), b.size(end), b.int64s([axis])]);
    start = end;
    return lowered(part);
  });
};

/** Joins a few at a time. */
const concat: LoweringRule = (b, { attributes }, inputs) => {
  let parts = [...inputs];
  while (parts.length > inputsPerShader) {
    const joined: string[] = [];
    for (let i = 0; i < parts.length; i += inputsPerShader)
      joined.push(
        lowered(b.emit("Concat", parts.slice(i, i + inputsPerShader), { axis: attributes.axis as number })),
      );
    parts = joined;
  }
  return b.emit("Concat", parts, { axis: attributes.axis as number });
};

const single = (dtype: DType): DType => (dtype === "float64" ? "float32" : dtype);

const cast: LoweringRule = (b, { inputs: [x], outputs: [y] }, inputs) => {
  const to = single((y as Tensor).dtype);
  return single((x as Tensor).dtype) === to
    ? b.emit("Identity", inputs)
    : b.emit("Cast", inputs, { to: onnxTypes[to] });
};

const constant: LoweringRule = (b, { attributes }) => {
  const value = attributes.value as HostArray;
  if (value.dtype !== "float64") return [b.constant(value)];
  return [b.constant(hostArray("float32", value.shape, Array.from(value.data as Float64Array)))];
};

const { logSoftmax: _, matmulInt8: __, rmsNorm: ___, rotary: ____, ...shared } = cpuLowering;

const webgpuLowering: LoweringTable = { ...shared, constant, cast, matmul: product, split, concat };

export const webgpu: Lowering = {
  table: webgpuLowering,
  fusions: { add: biasIntoProduct },
  takes: cpuTakes,
};
