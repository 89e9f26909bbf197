/** Matrix products. */
import { broadcastShapes, type Dim, showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { makeNode, type Tensor } from "../tensor.ts";
import { transpose } from "./shape.ts";

export interface MatMulOptions {
  /** Use the first operand's last two axes exchanged. */
  transposeA?: boolean;
  /** Use the second operand's last two axes exchanged. */
  transposeB?: boolean;
  /** A factor on the product. */
  alpha?: number;
}

/** Takes a transpose of the last two axes into the product's own flag. */
function untransposed(x: Tensor, flag: boolean): [Tensor, boolean] {
  if (x.node.op !== "transpose") return [x, flag];
  const source = x.node.inputs[0] as Tensor;
  const swapped = transpose(source);
  const order = x.node.attributes.order as readonly number[];
  const same = swapped.node.op === "transpose" && `${swapped.node.attributes.order}` === `${order}`;
  return same ? [source, !flag] : [x, flag];
}

/**
 * alpha * a @ b over the last two axes: [..., M, K] and [..., K, N] give [..., M, N].
 * Leading axes broadcast; a rank-2 right operand serves every leading index.
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, alpha = 1 }: MatMulOptions = {},
): Tensor {
  const [x, flagA] = untransposed(a, transposeA);
  const [y, flagB] = untransposed(b, transposeB);
  const refuse = () =>
    new ShapeError(
      `matmul: shapes ${showShape(a.shape)}${transposeA ? " (transposed)" : ""} and ${showShape(b.shape)}${transposeB ? " (transposed)" : ""} do not fit`,
    );
  if (x.shape.length < 2 || y.shape.length < 2 || x.dtype !== y.dtype) throw refuse();
  const [m, k] = lastTwo(x, flagA);
  const [l, n] = lastTwo(y, flagB);
  const leading = broadcastShapes(x.shape.slice(0, -2), y.shape.slice(0, -2));
  if (k !== l || !leading) throw refuse();
  return makeNode("matmul", [x, y], { transposeA: flagA, transposeB: flagB, alpha }, [
    { dtype: x.dtype, shape: [...leading, m, n] },
  ])[0] as Tensor;
}

function lastTwo(x: Tensor, flag: boolean): [Dim, Dim] {
  const [rows, columns] = x.shape.slice(-2) as [Dim, Dim];
  return flag ? [columns, rows] : [rows, columns];
}
