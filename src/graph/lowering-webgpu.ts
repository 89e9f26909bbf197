/**
 * How ONNX Runtime's WebGPU provider runs each operation.
 *
 * It has no kernel for `FusedMatMul`, `LogSoftmax` and comparisons of int64, and a node without a kernel runs
 * on the CPU, with its inputs copied there and its results back. Products therefore are `Gemm`, or `MatMul`
 * of transposed operands, and log softmax is what it means. Comparisons of int64 stay on the CPU on purpose:
 * they are exact there, and work on token ids and positions, which are small and come from the host anyway.
 */
import { addDims, type Dim } from "./dims.ts";
import {
  type Lowering,
  type LoweringRule,
  type LoweringTable,
  lowered,
  standardLowering,
} from "./lowering.ts";
import { biasIntoProduct, cpuLowering, cpuTakes, plainProduct } from "./lowering-cpu.ts";

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

const { logSoftmax: _, matmulInt8: __, ...shared } = cpuLowering;

const webgpuLowering: LoweringTable = { ...shared, matmul: product, split, concat };

export const webgpu: Lowering = {
  table: webgpuLowering,
  fusions: { add: biasIntoProduct },
  takes: cpuTakes,
};
