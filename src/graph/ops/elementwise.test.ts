import type { Tensor } from "../tensor.ts";
import { describeOps, distinct, list, type OpCase, real, whole } from "./check.fixture.ts";
import * as op from "./index.ts";
import { each, erf, type Nd, type Reference, together } from "./reference.fixture.ts";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const float32: OpCase["dtypes"] = ["float32"];

type Options = Pick<OpCase, "gradient" | "dtypes">;

const unary = (
  name: string,
  fn: (x: Tensor) => Tensor,
  reference: (x: number) => number,
  spec = real(["B", "T", 4]),
  options: Options = {},
): OpCase => ({ name, inputs: [spec], fn, reference: each(reference), ...options });

const elementwise: OpCase[] = [
  unary("neg", op.neg, (x) => -x),
  unary("abs", op.abs, Math.abs, distinct(["B", "T", 4])),
  unary("sign", op.sign, Math.sign, distinct(["B", "T", 4])),
  unary("floor", op.floor, Math.floor, real(["B", 4], 0.1, 0.9)),
  unary("ceil", op.ceil, Math.ceil, real(["B", 4], 0.1, 0.9)),
  unary("round", op.round, Math.round, real(["B", 4], 0.6, 1.4)),
  unary("exp", op.exp, Math.exp),
  unary("log", op.log, Math.log, real(["B", "T"], 0.4, 3)),
  unary("sqrt", op.sqrt, Math.sqrt, real(["B", "T"], 0.4, 3)),
  unary("rsqrt", op.rsqrt, (x) => 1 / Math.sqrt(x), real(["B", "T"], 0.5, 3)),
  unary("reciprocal", op.reciprocal, (x) => 1 / x, real(["B", "T"], 0.5, 3)),
  unary("tanh", op.tanh, Math.tanh),
  unary("sigmoid", op.sigmoid, sigmoid),
  unary("softplus", op.softplus, (x) => Math.log1p(Math.exp(x))),
  unary("logSigmoid", op.logSigmoid, (x) => -Math.log1p(Math.exp(-x))),
  unary("erf", op.erf, erf, real(["B", "T"]), { dtypes: float32 }),
  unary("sin", op.sin, Math.sin),
  unary("cos", op.cos, Math.cos),
  unary("square", op.square, (x) => x * x),
  unary("relu", op.relu, (x) => Math.max(x, 0), distinct(["B", "T", 4])),
  unary("silu", op.silu, (x) => x * sigmoid(x)),
  unary("gelu", op.gelu, (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  unary("geluErf", op.geluErf, (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), undefined, { dtypes: float32 }),
  unary(
    "clip",
    (x) => op.clip(x, -0.55, 0.45),
    (x) => Math.min(Math.max(x, -0.55), 0.45),
    distinct(["B", "T"]),
  ),
  unary(
    "pow with a whole exponent",
    (x) => op.pow(x, 3),
    (x) => x ** 3,
  ),
  unary(
    "a number first",
    (x) => op.sub(1, op.div(2, x)),
    (x) => 1 - 2 / x,
    real(["T"], 0.5, 2),
  ),
];

const pair = (name: string, fn: OpCase["fn"], reference: Reference, low = -1.5): OpCase[] => [
  { name, inputs: [real(["B", "T"], low), real(["B", "T"], low)], fn, reference },
  { name: `${name}, broadcast`, inputs: [real(["B", 1, 4], low), real(["T", 1], low)], fn, reference },
  {
    name: `${name}, a vector to a matrix`,
    inputs: [real([4], low), real(["B", "T", 4], low)],
    fn,
    reference,
  },
];

const comparison = (
  name: string,
  fn: (a: Tensor, b: Tensor) => Tensor,
  test: (a: number, b: number) => boolean,
) => ({
  name,
  inputs: [whole(["B", "T"], 3), whole(["T"], 3)],
  fn: (a: Tensor, b: Tensor) => op.cast(fn(a, b), "int64"),
  reference: together((a, b) => Number(test(a as number, b as number))),
});

const binary: OpCase[] = [
  ...pair(
    "add",
    op.add,
    together((a, b) => a + b),
  ),
  ...pair(
    "sub",
    op.sub,
    together((a, b) => a - b),
  ),
  ...pair(
    "mul",
    op.mul,
    together((a, b) => a * b),
  ),
  ...pair(
    "div",
    op.div,
    together((a, b) => a / b),
    0.6,
  ),
  ...pair(
    "pow",
    op.pow,
    together((a, b) => a ** b),
    0.6,
  ),
  ...pair("maximum", op.maximum, together(Math.max)),
  ...pair("minimum", op.minimum, together(Math.min)),
  {
    name: "where",
    inputs: [whole(["T"], 2), real(["B", 1]), real(["B", "T"])],
    fn: (c, a, b) => op.where(op.equal(c, 1), a, b),
    reference: together((c, a, b) => (c === 1 ? a : b) as number),
  },
  {
    name: "mod of whole numbers has the divisor's sign",
    inputs: [whole(["B", "T"], 6, -6), list([], [4])],
    fn: op.mod,
    reference: together((a, b) => a - b * Math.floor(a / b)),
  },
  comparison("equal", op.equal, (a, b) => a === b),
  comparison("less", op.less, (a, b) => a < b),
  comparison("lessEqual", op.lessEqual, (a, b) => a <= b),
  comparison("greater", op.greater, (a, b) => a > b),
  comparison("greaterEqual", op.greaterEqual, (a, b) => a >= b),
  comparison(
    "and",
    (a, b) => op.and(op.greater(a, 0), op.greater(b, 0)),
    (a, b) => a > 0 && b > 0,
  ),
  comparison(
    "or",
    (a, b) => op.or(op.greater(a, 0), op.greater(b, 0)),
    (a, b) => a > 0 || b > 0,
  ),
  comparison(
    "not",
    (a, b) => op.not(op.equal(a, b)),
    (a, b) => a !== b,
  ),
  {
    name: "cast between real and whole numbers",
    inputs: [whole(["T"], 5, -5)],
    fn: (x) =>
      [op.cast(op.div(op.cast(x, "float32"), 2), "int64"), op.cast(x, "bool")].map((y) =>
        op.cast(y, "int64"),
      ),
    reference: (x) =>
      [each((v) => Math.trunc(v / 2))(x as Nd), each((v) => Number(v !== 0))(x as Nd)] as Nd[],
  },
];

describeOps("elementwise", elementwise);
describeOps("pairs", binary);
