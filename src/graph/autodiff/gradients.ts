/**
 * The derivative of every operation, as one table of vector-Jacobian products.
 *
 * A rule gets the node's inputs, the gradient `dy` of its first output and that output `y`, and returns one
 * gradient per input (undefined where none flows). It need not care for broadcasting: the walk in grad.ts
 * sums or stretches each gradient to its input's shape. Rules use only operations that have rules
 * themselves, so the gradient of a gradient is a gradient.
 */
import { addDims, type Dim, multiplyDims, subtractDims } from "../dims.ts";
import { AttuneError } from "../errors.ts";
import * as op from "../ops/index.ts";
import type { Node, Tensor } from "../tensor.ts";

const { add, cast, div, exp, mul, neg, sub, sum, where } = op;

type Gradients = readonly (Tensor | undefined)[];

export type GradientRule = (
  inputs: readonly Tensor[],
  dy: Tensor,
  y: Tensor,
  /** For rules that read attributes, or the other outputs and their gradients. */
  node: Node,
  dys: Gradients,
) => Gradients;

const two = (inputs: readonly Tensor[]) => inputs as readonly [Tensor, Tensor];
const one = (inputs: readonly Tensor[]) => inputs[0] as Tensor;
const flag = (condition: Tensor, like: Tensor) => cast(condition, like.dtype);

export const gradientRules: Readonly<Record<string, GradientRule>> = {
  // Arithmetic
  add: (_, dy) => [dy, dy],
  sub: (_, dy) => [dy, neg(dy)],
  mul: (ab, dy) => [mul(dy, two(ab)[1]), mul(dy, two(ab)[0])],
  div: (ab, dy, y) => [div(dy, two(ab)[1]), neg(div(mul(dy, y), two(ab)[1]))],
  pow: (ab, dy, y) => {
    const [a, b] = two(ab);
    return [
      mul(dy, mul(b, op.pow(a, sub(b, 1)))),
      b.node.op === "constant" ? undefined : mul(dy, mul(y, op.log(a))),
    ];
  },
  maximum: (ab, dy) => {
    const [a, b] = two(ab);
    return [mul(dy, flag(op.greater(a, b), dy)), mul(dy, flag(op.lessEqual(a, b), dy))];
  },
  minimum: (ab, dy) => {
    const [a, b] = two(ab);
    return [mul(dy, flag(op.less(a, b), dy)), mul(dy, flag(op.greaterEqual(a, b), dy))];
  },
  neg: (_, dy) => [neg(dy)],
  abs: (x, dy) => [mul(dy, op.sign(one(x)))],
  exp: (_, dy, y) => [mul(dy, y)],
  log: (x, dy) => [div(dy, one(x))],
  sqrt: (_, dy, y) => [div(mul(dy, 0.5), y)],
  reciprocal: (_, dy, y) => [neg(mul(dy, mul(y, y)))],
  tanh: (_, dy, y) => [mul(dy, sub(1, mul(y, y)))],
  sigmoid: (_, dy, y) => [mul(dy, mul(y, sub(1, y)))],
  softplus: (x, dy) => [mul(dy, op.sigmoid(one(x)))],
  erf: (x, dy) => [mul(dy, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(one(x), one(x))))))],
  sin: (x, dy) => [mul(dy, op.cos(one(x)))],
  cos: (x, dy) => [neg(mul(dy, op.sin(one(x))))],
  cast: (x, dy) => [one(x).dtype.startsWith("float") ? cast(dy, one(x).dtype) : undefined],
  where: (inputs, dy) => [undefined, where(inputs[0] as Tensor, dy, 0), where(inputs[0] as Tensor, 0, dy)],
  after: (_, dy) => [dy],

  // Moving elements
  reshape: (x, dy) => [op.reshape(dy, one(x).shape)],
  transpose: (_, dy, __, { attributes }) => {
    const order = attributes.order as readonly number[];
    return [
      op.transpose(
        dy,
        order.map((_, i) => order.indexOf(i)),
      ),
    ];
  },
  expand: (_, dy) => [dy],
  slice: (x, dy, _, { attributes }) => {
    const { axis, start, end } = attributes as { axis: number; start: Dim; end: Dim };
    return [op.pad(dy, axis, start, subtractDims(one(x).shape[axis] as Dim, end))];
  },
  sliceTo: (inputs, dy, _, { attributes }) => {
    const { axis, name } = attributes as { axis: number; name: string };
    return [op.pad(dy, axis, 0, subtractDims((inputs[0] as Tensor).shape[axis] as Dim, name)), undefined];
  },
  pad: (x, dy, _, { attributes }) => {
    const { axis, before } = attributes as { axis: number; before: Dim };
    return [op.slice(dy, axis, before, addDims(before, one(x).shape[axis] as Dim))];
  },
  split: (_, __, ___, { attributes, outputs }, dys) => [
    op.concat(
      outputs.map((y, i) => dys[i] ?? op.zerosLike(y)),
      attributes.axis as number,
    ),
  ],
  concat: (xs, dy, _, { attributes }) => {
    const axis = attributes.axis as number;
    return op.split(
      dy,
      xs.map((x) => x.shape[axis] as Dim),
      axis,
    );
  },

  // Reductions
  sum: (x, dy, _, node) => [restored(one(x), dy, node)],
  max: (x, dy, y, node) => [toExtremes(one(x), dy, y, node)],
  min: (x, dy, y, node) => [toExtremes(one(x), dy, y, node)],
  cumsum: (_, dy, __, { attributes }) => {
    const { axis, exclusive, reverse } = attributes as { axis: number; exclusive: boolean; reverse: boolean };
    return [op.cumsum(dy, axis, { exclusive, reverse: !reverse })];
  },
  topK: (x, dy, _, { outputs }) => [op.scatterAddAlong(op.zerosLike(one(x)), outputs[1] as Tensor, dy)],

  scan: () => {
    throw new AttuneError(
      "grad: scan has no gradient; take the gradient inside its body, or put stopGradient around it",
    );
  },

  // Reading by index
  gather: (inputs, dy, _, { attributes }) => {
    const [x, indices] = two(inputs);
    const axis = attributes.axis as number;
    const rank = indices.shape.length;
    const first = [...Array(rank).keys()].map((i) => i + axis);
    const rest = dy.shape.map((_, i) => i).filter((i) => !first.includes(i));
    const rows = op.reshape(op.transpose(dy, [...first, ...rest]), [
      multiplyDims(...indices.shape),
      ...rest.map((i) => dy.shape[i] as Dim),
    ]);
    const others = x.shape.map((_, i) => i).filter((i) => i !== axis);
    const order = [axis, ...others];
    const zeros = op.full(
      order.map((i) => x.shape[i] as Dim),
      0,
      x.dtype,
    );
    const added = op.scatterAddRows(zeros, op.reshape(indices, [multiplyDims(...indices.shape)]), rows);
    return [
      op.transpose(
        added,
        order.map((_, i) => order.indexOf(i)),
      ),
      undefined,
    ];
  },
  regroup: (inputs, dy, _, { attributes }) => {
    const [x, indices, inverse] = inputs as readonly [Tensor, Tensor, Tensor];
    const rest = x.shape.slice(1);
    const rows = op.reshape(dy, [multiplyDims(...indices.shape), ...rest]);
    const padded = attributes.onto ? rows : op.concat([rows, op.full([1, ...rest], 0, x.dtype)], 0);
    return [op.gather(padded, inverse), undefined, undefined];
  },
  gatherAlong: (inputs, dy, _, { attributes }) => {
    const [x, indices] = two(inputs);
    return [op.scatterAddAlong(op.zerosLike(x), indices, dy, attributes.axis as number), undefined];
  },
  scatterAddAlong: (inputs, dy, _, { attributes }) => [
    dy,
    undefined,
    op.gatherAlong(dy, inputs[1] as Tensor, attributes.axis as number),
  ],
  scatterAddRows: (inputs, dy) => [dy, undefined, op.gather(dy, inputs[1] as Tensor)],

  // Matrix products. With C = alpha op(A) op(B): dA = alpha dC op(B)', dB = alpha op(A)' dC.
  matmul: (ab, dy, _, { attributes }) => {
    const [a, b] = two(ab);
    const { transposeA, transposeB, alpha } = attributes as {
      transposeA: boolean;
      transposeB: boolean;
      alpha: number;
    };
    const product = (x: Tensor, y: Tensor, tx: boolean, ty: boolean) =>
      op.matmul(x, y, { transposeA: tx, transposeB: ty, alpha });
    const da = transposeA ? product(b, dy, transposeB, true) : product(dy, b, false, !transposeB);
    if (b.shape.length > 2 || a.shape.length === 2)
      return [da, transposeB ? product(dy, a, true, transposeA) : product(a, dy, !transposeA, false)];
    // One right matrix for every leading index: join the rows first, so that one product sums over them.
    const [rows, columns] = [flatRows(transposeA ? op.transpose(a) : a), flatRows(dy)];
    return [da, transposeB ? product(columns, rows, true, false) : product(rows, columns, true, false)];
  },

  // Transformers
  softmax: (_, dy, y) => [mul(y, sub(dy, sum(mul(dy, y), -1, { keepDims: true })))],
  logSoftmax: (_, dy, y) => [sub(dy, mul(exp(y), sum(dy, -1, { keepDims: true })))],
  // y = x s with s = sigmoid(x): y' = s + x s (1 - s) = y + s (1 - y)
  silu: (x, dy, y) => [mul(dy, add(y, mul(op.sigmoid(one(x)), sub(1, y))))],
  // d/dx x Phi(x) = Phi(x) + x phi(x)
  geluErf: (x, dy) => {
    const phi = mul(1 / Math.sqrt(2 * Math.PI), exp(mul(-0.5, mul(one(x), one(x)))));
    const Phi = mul(0.5, add(1, op.erf(mul(one(x), Math.SQRT1_2))));
    return [mul(dy, add(Phi, mul(one(x), phi)))];
  },
  // y = x s with s = sigmoid(x w), w = c + a x^2: y' = s + y (1 - s) (c + 3 a x^2), and c + 3 a x^2 = 3 w - 2 c.
  gelu: (x, dy, y) => {
    const c = 2 * Math.sqrt(2 / Math.PI);
    const w = add(c, mul(mul(one(x), one(x)), 0.044715 * c));
    const s = op.sigmoid(mul(one(x), w));
    return [mul(dy, add(s, mul(sub(y, mul(y, s)), sub(mul(w, 3), 2 * c))))];
  },
  layerNorm: (inputs, dy, _, { outputs }, dys) => {
    const [x, weight] = two(inputs);
    const [, mean, inverse] = outputs as [Tensor, Tensor, Tensor];
    const centred = mul(sub(x, mean), inverse);
    const dx = normGradient(centred, mul(dy, weight), inverse, true);
    return [
      addDefined(dx, throughMean(x, dys[1]), throughInverse(centred, inverse, dys[2])),
      mul(dy, centred),
      dy,
    ];
  },
  rmsNorm: (inputs, dy, _, { outputs }, dys) => {
    const [x, weight] = two(inputs);
    const inverse = outputs[1] as Tensor;
    const scaled = mul(x, inverse);
    const dx = normGradient(scaled, mul(dy, weight), inverse, false);
    return [addDefined(dx, throughInverse(scaled, inverse, dys[1])), mul(dy, scaled)];
  },
  // A rotation: its transpose turns back.
  rotary: (inputs, dy) => {
    const [x, cosine, sine] = inputs as readonly [Tensor, Tensor, Tensor];
    const half = (x.shape.at(-1) as number) / 2;
    const [x1, x2] = op.split(x, [half, half], -1) as [Tensor, Tensor];
    const [d1, d2] = op.split(dy, [half, half], -1) as [Tensor, Tensor];
    return [op.rotary(dy, cosine, neg(sine)), add(mul(d1, x1), mul(d2, x2)), sub(mul(d2, x1), mul(d1, x2))];
  },
  // With P = softmax(S): dS = P (dP - rowsum(dO O)), as in FlashAttention (Dao et al. 2022), section 3.1.
  attention: (inputs, dy, y, { attributes, outputs }, dys) => {
    const [q, k, v, mask] = inputs as readonly [Tensor, Tensor, Tensor, Tensor?];
    const alpha = attributes.scale as number;
    const [b, g, r, t, s] = (outputs[1] as Tensor).shape as [Dim, number, number, Dim, Dim];
    const d = q.shape[3] as Dim;
    const grouped = (x: Tensor) => op.reshape(x, [b, g, multiplyDims(r, t), d]);
    const p = op.reshape(outputs[1] as Tensor, [b, g, multiplyDims(r, t), s]);
    const dO = grouped(dy);
    const direct = dys[1] && op.reshape(dys[1], p.shape);
    let dp = op.matmul(dO, v, { transposeB: true });
    let delta = sum(mul(dO, grouped(y)), -1, { keepDims: true });
    if (direct) {
      dp = add(dp, direct);
      delta = add(delta, sum(mul(direct, p), -1, { keepDims: true }));
    }
    const dS = mul(p, sub(dp, delta));
    return [
      op.reshape(op.matmul(dS, k, { alpha }), q.shape),
      op.matmul(dS, grouped(q), { transposeA: true, alpha }),
      op.matmul(p, dO, { transposeA: true }),
      mask && sum(op.reshape(dS, [b, g, r, t, s]), [1], { keepDims: false }),
    ];
  },
  tokenLogProbs: (inputs, dy, _, { outputs }, dys) => {
    const [, ids] = two(inputs);
    const logProbs = outputs[1] as Tensor;
    const all = dys[1] ? op.scatterAddAlong(dys[1], ids, dy) : undefined;
    if (all) return [sub(all, mul(exp(logProbs), sum(all, -1, { keepDims: true }))), undefined];
    return [op.scatterAddAlong(mul(exp(logProbs), neg(dy)), ids, dy), undefined];
  },
};

/** Operations whose derivative is zero wherever it exists, or that take or give whole numbers. */
export const withoutGradient = new Set([
  ...["input", "constant", "stopGradient", "arange", "dimValue", "argmax", "sign", "floor", "ceil", "round"],
  ...[
    "equal",
    "less",
    "lessEqual",
    "greater",
    "greaterEqual",
    "and",
    "or",
    "not",
    "isNaN",
    "isInfinite",
    "mod",
  ],
]);

/** The gradient of a reduction with the reduced axes back in place as 1. */
function restored(x: Tensor, dy: Tensor, { attributes }: Node): Tensor {
  const axes = attributes.axes as readonly number[];
  return op.reshape(
    dy,
    x.shape.map((dim, i) => (axes.includes(i) ? 1 : dim)),
  );
}

function toExtremes(x: Tensor, dy: Tensor, y: Tensor, node: Node): Tensor {
  const hit = flag(op.equal(x, restored(x, y, node)), dy);
  const hits = sum(hit, node.attributes.axes as readonly number[], { keepDims: true });
  return mul(div(restored(x, dy, node), hits), hit);
}

const flatRows = (x: Tensor): Tensor => op.reshape(x, [-1, x.shape.at(-1) as Dim]);

const addDefined = (first: Tensor, ...rest: readonly (Tensor | undefined)[]): Tensor =>
  rest.reduce<Tensor>((total, x) => (x ? add(total, x) : total), first);

/** Through y = n(x): inverse (g - mean(g) - y mean(g y)); RMS norm has no mean to subtract. */
function normGradient(y: Tensor, g: Tensor, inverse: Tensor, centred: boolean): Tensor {
  const along = op.mean(mul(g, y), -1, { keepDims: true });
  const shifted = centred ? sub(g, op.mean(g, -1, { keepDims: true })) : g;
  return mul(inverse, sub(shifted, mul(y, along)));
}

const throughMean = (x: Tensor, dMean?: Tensor): Tensor | undefined =>
  dMean && op.expand(div(dMean, op.dimValue(x.shape.at(-1) as Dim, x.dtype)), x.shape);

/** inverse = (mean(c^2) + eps)^(-1/2), so d inverse / dx = -inverse^3 c / n = -inverse^2 y / n. */
const throughInverse = (y: Tensor, inverse: Tensor, dInverse?: Tensor): Tensor | undefined =>
  dInverse &&
  neg(mul(y, div(mul(dInverse, mul(inverse, inverse)), op.dimValue(y.shape.at(-1) as Dim, y.dtype))));
