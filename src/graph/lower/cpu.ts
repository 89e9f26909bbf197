/** How ONNX Runtime's CPU provider runs each operation: one row per operation, and the pairs that it fuses. */
import { hostArray } from "../array.ts";
import { type Dim, multiplyDims, sameShape } from "../dims.ts";
import { arange, expand, full, matmul, reshape, transpose, zeroPoint } from "../ops/index.ts";
import { makeNode, type Node, type Tensor } from "../tensor.ts";
import { type LoweringRule, type LoweringTable, lowered, standardLowering } from "./lowering.ts";
import { onnxTypes } from "./onnx/builder.ts";
import type { Fusion } from "./passes.ts";

const isFloat32 = (node: Node): boolean => node.outputs[0]?.dtype === "float32";

/** Operations whose kernels take float32 alone; in float64 they run as what they mean. */
const float32Only = new Set(["gelu", "geluErf", "softplus", "cos", "layerNorm", "rmsNorm", "rotary"]);
export const cpuTakes = (node: Node): boolean =>
  (isFloat32(node) || !float32Only.has(node.op)) && (node.op !== "rotary" || isRotaryTable(node));

/** alpha op(a) @ op(b) without the contributed kernel, which takes float32 alone. */
export const plainProduct: LoweringRule = (b, { attributes, inputs, outputs }, names) => {
  const factors = inputs.map((x, i) => {
    const name = names[i] as string;
    if (!(i === 0 ? attributes.transposeA : attributes.transposeB)) return name;
    const rank = x.shape.length;
    const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
    return lowered(b.emit("Transpose", [name], { perm }));
  });
  const product = b.emit("MatMul", factors);
  if (attributes.alpha === 1) return product;
  const alpha = b.constant(hostArray((outputs[0] as Tensor).dtype, [], [attributes.alpha as number]));
  return b.emit("Mul", [lowered(product), alpha]);
};

export const cpuLowering: LoweringTable = {
  ...standardLowering,
  matmul: (b, node, inputs, table) => {
    const { transposeA, transposeB, alpha } = node.attributes;
    if (!isFloat32(node)) return plainProduct(b, node, inputs, table);
    return transposeA || transposeB || alpha !== 1
      ? b.emit("com.microsoft:FusedMatMul", inputs, {
          transA: Number(transposeA),
          transB: Number(transposeB),
          alpha: { float: alpha as number },
        })
      : b.emit("MatMul", inputs);
  },
  gemm: (b, { attributes: { transposeA, transposeB, alpha } }, inputs) =>
    b.emit("Gemm", inputs, {
      transA: Number(transposeA),
      transB: Number(transposeB),
      alpha: { float: alpha as number },
    }),
  // The runtime measures the range of the other factor itself.
  matmulInt8: (b, _, inputs) =>
    b.emit("com.microsoft:DynamicQuantizeMatMul", [
      ...inputs,
      b.constant(hostArray("uint8", [], [zeroPoint])),
    ]),
  dequantize: (b, _, [weights, scale]) => {
    const floats = lowered(b.emit("Cast", [weights as string], { to: onnxTypes.float32 }));
    const zero = b.constant(hostArray("float32", [], [zeroPoint]));
    return b.emit("Mul", [lowered(b.emit("Sub", [floats, zero])), scale as string]);
  },
  gelu: (b, _, inputs) => b.emit("Gelu", inputs, { approximate: "tanh" }),
  geluErf: (b, _, inputs) => b.emit("Gelu", inputs),
  softmax: (b, _, inputs) => b.emit("Softmax", inputs, { axis: -1 }),
  logSoftmax: (b, _, inputs) => b.emit("LogSoftmax", inputs, { axis: -1 }),
  layerNorm: (b, { attributes }, inputs) =>
    b.emit("LayerNormalization", inputs, { axis: -1, epsilon: { float: attributes.epsilon as number } }, 3),
  rmsNorm: (b, { attributes }, inputs) =>
    b.emit(
      "SimplifiedLayerNormalization",
      inputs,
      { axis: -1, epsilon: { float: attributes.epsilon as number } },
      2,
    ),
  rotary: (b, _, inputs) => b.emit("com.microsoft:RotaryEmbedding", inputs),
  // Duplicate rows are added up in a fixed order; ScatterND would race.
  scatterAddRows: (b, { inputs: [, , updates] }, [base, indices, rows]) => {
    const shape = (updates as Tensor).shape;
    const column = lowered(
      b.emit("Reshape", [indices as string, b.int64s([-1, ...shape.slice(1).map(() => 1)])]),
    );
    const index = lowered(b.emit("Expand", [column, b.shape(shape)]));
    return b.emit("ScatterElements", [base as string, index, rows as string], { axis: 0, reduction: "add" });
  },
};

/** (a @ b) + c as one Gemm when the product is a plain matrix that nothing else reads. */
export const biasIntoProduct: Fusion = (node, inputs, usedOnce) => {
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

/**
 * A' B with many columns in A, such as the gradient of an output projection, as (B' A)': the kernel reads the
 * columns of A page by page, which costs more than turning the result over.
 */
const wideLeftTransposed: Fusion = (node, [a, b]) => {
  const { transposeA, transposeB, alpha } = node.attributes as {
    transposeA: boolean;
    transposeB: boolean;
    alpha: number;
  };
  const columns = (a as Tensor).shape[1];
  if (!transposeA || transposeB || (a as Tensor).shape.length !== 2 || (b as Tensor).shape.length !== 2)
    return undefined;
  if (typeof columns !== "number" || columns < 16_384) return undefined;
  return transpose(matmul(b as Tensor, a as Tensor, { transposeA: true, alpha }));
};

/** x @ dequantize(w) in 8 bits on both sides. */
const quantizedProduct: Fusion = ({ attributes, outputs }, [x, weights]) => {
  const { transposeA, transposeB, alpha } = attributes;
  if (weights?.node.op !== "dequantize" || transposeA || transposeB || alpha !== 1) return undefined;
  return makeNode("matmulInt8", [x as Tensor, ...weights.node.inputs], {}, outputs)[0] as Tensor;
};

/** Column sums of a matrix as a row of ones times it: the reduction kernel takes up to twice as long. */
const columnSums: Fusion = ({ attributes, outputs }, [x]) => {
  const [rows, columns] = (x as Tensor).shape;
  const axes = attributes.axes as readonly number[];
  const plain = (x as Tensor).shape.length === 2 && x?.dtype === "float32";
  if (!plain || axes.length !== 1 || axes[0] !== 0 || rows === 1 || columns === 1) return undefined;
  return reshape(matmul(full([1, rows as Dim], 1), x as Tensor), (outputs[0] as Tensor).shape);
};

/** A rotation by angles of each place, as the kernel has it: places, and a table of the cosines and sines of all. */
const rotaryTable: Fusion = ({ attributes, outputs }, [x, cosine, sine, table]) => {
  if (table) return undefined;
  const [b, , t] = (x as Tensor).shape as [Dim, Dim, Dim];
  const half = (cosine as Tensor).shape.at(-1) as Dim;
  const isForAll = (cosine as Tensor).shape.length === 2;
  const rows = isForAll ? t : multiplyDims(b, t);
  const places = isForAll ? expand(arange(t), [b, t]) : reshape(arange(rows), [b, t]);
  const tables = [cosine, sine].map((of) => reshape(of as Tensor, [rows, half]));
  return makeNode("rotary", [x as Tensor, places, ...tables], attributes, outputs)[0] as Tensor;
};

/** Angles [T, D/2] or [B, 1, T, D/2], of every place. */
const isRotaryTable = ({ inputs: [x, cosine] }: Node): boolean => {
  const [[b, , t], angles] = [(x as Tensor).shape, (cosine as Tensor).shape];
  return sameShape(angles.slice(0, -1), angles.length === 2 ? [t as Dim] : [b as Dim, 1, t as Dim]);
};

export const cpuFusions: Readonly<Record<string, Fusion>> = {
  add: biasIntoProduct,
  rotary: rotaryTable,
  sum: columnSums,
  matmul: (...args) => quantizedProduct(...args) ?? wideLeftTransposed(...args),
};
