/**
 * Elementwise operations. Shapes broadcast as in NumPy; a plain number takes the other operand's dtype.
 * Constructors drop what cannot matter (x * 1, x + 0, an operand that was expanded to the result's shape),
 * so that gradient rules may be written plainly.
 */
import { type DType, hostArray } from "../array.ts";
import { broadcastShapes, sameShape, showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { constant, isTensor, makeNode, type Tensor } from "../tensor.ts";

export type Operand = Tensor | number;

/** A scalar of the given dtype, shape []. */
export const scalar = (value: number, dtype: DType = "float32"): Tensor =>
  constant(
    dtype === "int64"
      ? hostArray("int64", [], BigInt64Array.of(BigInt(value)))
      : hostArray(dtype, [], [value]),
  );

/** The value of a scalar constant, or undefined. */
export function constantValue(x: Tensor): number | undefined {
  if (x.node.op !== "constant" || x.shape.length > 0) return undefined;
  const value = (x.node.attributes.value as { data: ArrayLike<number | bigint> }).data[0];
  return Number(value);
}

const unary =
  (op: string, dtype?: DType) =>
  (x: Tensor): Tensor =>
    makeNode(op, [x], {}, [{ dtype: dtype ?? x.dtype, shape: x.shape }])[0] as Tensor;

/** Removes an expansion that broadcasting against `other` would do anyway. */
function unexpanded(x: Tensor, other: Tensor): Tensor {
  if (x.node.op !== "expand") return x;
  const source = x.node.inputs[0] as Tensor;
  const shape = broadcastShapes(source.shape, other.shape);
  const wanted = broadcastShapes(x.shape, other.shape);
  return shape && wanted && sameShape(shape, wanted) ? source : x;
}

function operands(op: string, a: Operand, b: Operand): [Tensor, Tensor] {
  const like = isTensor(a) ? a : isTensor(b) ? b : undefined;
  const x = isTensor(a) ? a : scalar(a, like?.dtype);
  const y = isTensor(b) ? b : scalar(b, like?.dtype);
  if (x.dtype !== y.dtype)
    throw new ShapeError(`${op}: both operands must have one dtype, got ${x.dtype} and ${y.dtype}; use cast`);
  return [x, y];
}

function combine(op: string, x: Tensor, y: Tensor, dtype: DType): Tensor {
  const shape = broadcastShapes(x.shape, y.shape);
  if (!shape)
    throw new ShapeError(`${op}: shapes ${showShape(x.shape)} and ${showShape(y.shape)} do not fit`);
  const a = unexpanded(x, y);
  const b = unexpanded(y, a);
  return makeNode(op, [a, b], {}, [{ dtype, shape }])[0] as Tensor;
}

const binary =
  (op: string, dtype?: DType) =>
  (a: Operand, b: Operand): Tensor => {
    const [x, y] = operands(op, a, b);
    return combine(op, x, y, dtype ?? x.dtype);
  };

/** x when dropping `y` changes neither value nor shape. */
const neutral = (x: Tensor, y: Tensor, value: number): boolean => {
  const shape = broadcastShapes(x.shape, y.shape);
  return constantValue(y) === value && shape !== undefined && sameShape(shape, x.shape);
};

export function add(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("add", a, b);
  if (neutral(x, y, 0)) return x;
  if (neutral(y, x, 0)) return y;
  return combine("add", x, y, x.dtype);
}

export function mul(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("mul", a, b);
  if (neutral(x, y, 1)) return x;
  if (neutral(y, x, 1)) return y;
  return combine("mul", x, y, x.dtype);
}

export function sub(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("sub", a, b);
  return neutral(x, y, 0) ? x : combine("sub", x, y, x.dtype);
}

export function div(a: Operand, b: Operand): Tensor {
  const [x, y] = operands("div", a, b);
  return neutral(x, y, 1) ? x : combine("div", x, y, x.dtype);
}

/** The sum of any number of tensors. */
export const addAll = (xs: readonly Tensor[]): Tensor => xs.reduce((a, b) => add(a, b));

/** x to the power of y; the gradient with respect to y needs x > 0. */
export const pow = binary("pow");
export const maximum = binary("maximum");
export const minimum = binary("minimum");
/** Remainder with the divisor's sign for integers, as in Python. */
export const mod = binary("mod");

export const equal = binary("equal", "bool");
export const less = binary("less", "bool");
export const lessEqual = binary("lessEqual", "bool");
export const greater = binary("greater", "bool");
export const greaterEqual = binary("greaterEqual", "bool");
export const and = binary("and", "bool");
export const or = binary("or", "bool");
export const not = unary("not", "bool");
export const isNaN = unary("isNaN", "bool");
export const isInfinite = unary("isInfinite", "bool");
export const isFinite = (x: Tensor): Tensor => not(or(isNaN(x), isInfinite(x)));

export const neg = (x: Tensor): Tensor => (x.node.op === "neg" ? (x.node.inputs[0] as Tensor) : negate(x));
const negate = unary("neg");
export const abs = unary("abs");
export const sign = unary("sign");
export const exp = unary("exp");
export const log = unary("log");
export const sqrt = unary("sqrt");
export const reciprocal = unary("reciprocal");
export const tanh = unary("tanh");
export const sigmoid = unary("sigmoid");
/** log(1 + exp(x)), stable for large |x|. */
export const softplus = unary("softplus");
export const erf = unary("erf");
export const sin = unary("sin");
export const cos = unary("cos");
export const floor = unary("floor");
export const ceil = unary("ceil");
/** Rounds half to even. */
export const round = unary("round");

export const square = (x: Tensor): Tensor => mul(x, x);
export const rsqrt = (x: Tensor): Tensor => reciprocal(sqrt(x));
export const relu = (x: Tensor): Tensor => maximum(x, 0);
/** log sigmoid(x) = -softplus(-x), finite for margins of any size. */
export const logSigmoid = (x: Tensor): Tensor => neg(softplus(neg(x)));

/** Limits x to [low, high]; the gradient is 1 inside and 0 outside. */
export const clip = (x: Tensor, low: Operand, high: Operand): Tensor => minimum(maximum(x, low), high);

/** The same value, through which no gradient flows. */
export const stopGradient = (x: Tensor): Tensor =>
  makeNode("stopGradient", [x], {}, [{ dtype: x.dtype, shape: x.shape }])[0] as Tensor;

/** Converts to another dtype; the gradient flows between floating dtypes only. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : (makeNode("cast", [x], {}, [{ dtype, shape: x.shape }])[0] as Tensor);
}

/** a where the condition holds, else b; all three broadcast. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [x, y] = operands("where", a, b);
  if (condition.dtype !== "bool")
    throw new ShapeError(`where: the condition must be bool, got ${condition.dtype}`);
  const branches = broadcastShapes(x.shape, y.shape);
  const shape = branches && broadcastShapes(condition.shape, branches);
  if (!shape)
    throw new ShapeError(
      `where: shapes ${showShape(condition.shape)}, ${showShape(x.shape)} and ${showShape(y.shape)} do not fit`,
    );
  return makeNode("where", [condition, x, y], {}, [{ dtype: x.dtype, shape }])[0] as Tensor;
}
