/** How ONNX Runtime's CPU provider runs each operation: one row per operation, and the pairs that it fuses. */
import { sameShape } from "./dims.ts";
import { type LoweringTable, lowered, standardLowering } from "./lowering.ts";
import type { Fusion } from "./passes.ts";
import { makeNode, type Tensor } from "./tensor.ts";

export const cpuLowering: LoweringTable = {
  ...standardLowering,
  matmul: (b, { attributes: { transposeA, transposeB, alpha } }, inputs) =>
    transposeA || transposeB || alpha !== 1
      ? b.emit("com.microsoft:FusedMatMul", inputs, {
          transA: Number(transposeA),
          transB: Number(transposeB),
          alpha: { float: alpha as number },
        })
      : b.emit("MatMul", inputs),
  gemm: (b, { attributes: { transposeA, transposeB, alpha } }, inputs) =>
    b.emit("Gemm", inputs, {
      transA: Number(transposeA),
      transB: Number(transposeB),
      alpha: { float: alpha as number },
    }),
  gelu: (b, _, inputs) => b.emit("Gelu", inputs, { approximate: "tanh" }),
  geluErf: (b, _, inputs) => b.emit("Gelu", inputs),
  softmax: (b, _, inputs) => b.emit("Softmax", inputs, { axis: -1 }),
  logSoftmax: (b, _, inputs) => b.emit("LogSoftmax", inputs, { axis: -1 }),
  layerNorm: (b, { attributes }, inputs) =>
    b.emit("LayerNormalization", inputs, { axis: -1, epsilon: { float: attributes.epsilon as number } }, 3),
  // Duplicate rows are added up in a fixed order; ScatterND would race.
  scatterAddRows: (b, { inputs: [, , updates] }, [base, indices, rows]) => {
    const shape = (updates as Tensor).shape;
    const column = lowered(b.emit("Reshape", [indices as string, b.int64s([-1, ...shape.slice(1).map(() => 1)])]));
    const index = lowered(b.emit("Expand", [column, b.shape(shape)]));
    return b.emit("ScatterElements", [base as string, index, rows as string], { axis: 0, reduction: "add" });
  },
};

/** (a @ b) + c as one Gemm when the product is a plain matrix that nothing else reads. */
const biasIntoProduct: Fusion = (node, inputs, usedOnce) => {
  const [a, b] = inputs as [Tensor, Tensor];
  for (const [product, bias] of [
    [a, b],
    [b, a],
  ] as const) {
    const { op, inputs: factors, attributes } = product.node;
    if (op !== "matmul" || product.shape.length !== 2 || factors.some((x) => x.shape.length !== 2)) continue;
    if (!usedOnce(product) || !sameShape(bias.shape, [product.shape[1] as number])) continue;
    if (product.dtype !== "float32" || bias.node === product.node) continue;
    return makeNode("gemm", [...factors, bias], attributes, node.outputs)[0] as Tensor;
  }
  return undefined;
};

export const cpuFusions: Readonly<Record<string, Fusion>> = { add: biasIntoProduct };

