/**
 * What the compound operations mean in terms of simpler ones, for providers that have no kernel of their own.
 */
import { type Dim, multiplyDims, type Shape } from "../dims.ts";
import * as op from "../ops/index.ts";
import type { Node, Tensor } from "../tensor.ts";

const { add, div, exp, log, max, mean, mul, sub, sum } = op;

export type Decomposition = (inputs: readonly Tensor[], node: Node) => readonly Tensor[];

const kept = { keepDims: true };
const first = (inputs: readonly Tensor[]) => inputs[0] as Tensor;
const shifted = (x: Tensor) => sub(x, max(x, -1, kept));

export const decompositions: Readonly<Record<string, Decomposition>> = {
  checkpoint: (inputs) => [inputs.at(-1) as Tensor],
  stopGradient: (inputs) => inputs,
  inChunks: (inputs, { outputs }) => inputs.slice(-outputs.length),
  // One number of the dependency decides nothing about x, but has to be there: NaN replaces NaN.
  after: ([x, dependency]) => {
    const witness = op.cast(max(dependency as Tensor), (x as Tensor).dtype);
    return [op.where(op.isNaN(witness), witness, x as Tensor)];
  },
  regroup: ([x, indices]) => [op.gather(x as Tensor, indices as Tensor)],
  softplus: (x) => [add(op.relu(first(x)), log(add(1, exp(op.neg(op.abs(first(x)))))))],
  cos: (x) => [op.sin(add(first(x), Math.PI / 2))],
  silu: (x) => [mul(first(x), op.sigmoid(first(x)))],
  gelu: (inputs) => {
    const x = first(inputs);
    const c = 2 * Math.sqrt(2 / Math.PI);
    return [mul(x, op.sigmoid(mul(x, add(c, mul(0.044715 * c, mul(x, x))))))];
  },
  geluErf: (x) => [mul(mul(first(x), 0.5), add(1, op.erf(mul(first(x), Math.SQRT1_2))))],
  softmax: (x) => {
    const e = exp(shifted(first(x)));
    return [div(e, sum(e, -1, kept))];
  },
  logSoftmax: (x) => {
    const s = shifted(first(x));
    return [sub(s, log(sum(exp(s), -1, kept)))];
  },
  layerNorm: (inputs, { attributes }) => {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor];
    const average = mean(x, -1, kept);
    const centred = sub(x, average);
    const inverse = op.rsqrt(add(mean(mul(centred, centred), -1, kept), attributes.epsilon as number));
    return [add(mul(mul(centred, inverse), weight), bias), average, inverse];
  },
  rmsNorm: (inputs, { attributes }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    const inverse = op.rsqrt(add(mean(mul(x, x), -1, kept), attributes.epsilon as number));
    return [mul(mul(x, inverse), weight), inverse];
  },
  rotary: (inputs) => {
    const [x, cosine, sine] = inputs as [Tensor, Tensor, Tensor];
    const half = (x.shape.at(-1) as number) / 2;
    const [x1, x2] = op.split(x, [half, half], -1) as [Tensor, Tensor];
    const turned = [sub(mul(x1, cosine), mul(x2, sine)), add(mul(x2, cosine), mul(x1, sine))];
    return [op.concat(turned, -1)];
  },
  // The query heads of a group lie next to each other, so a group's heads and positions join into rows.
  attention: (inputs, { attributes, outputs }) => {
    const [q, k, v, mask] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const [b, g, r, t, s] = (outputs[1] as Tensor).shape as [Dim, number, number, Dim, Dim];
    const rows = multiplyDims(r, t);
    const d = q.shape[3] as Dim;
    const scores = op.matmul(op.reshape(q, [b, g, rows, d]), k, {
      transposeB: true,
      alpha: attributes.scale as number,
    });
    const masked = mask ? add(op.reshape(scores, [b, g, r, t, s]), overGroups(mask)) : scores;
    const p = op.softmax(op.reshape(masked, r === 1 ? [b, g, t, s] : [b, g, r, t, s]));
    const o = op.matmul(op.reshape(p, [b, g, rows, s]), v);
    return [op.reshape(o, q.shape), op.reshape(p, [b, g, r, t, s])];
  },
  dequantize: ([weights, scale]) => [
    mul(sub(op.cast(weights as Tensor, "float32"), op.zeroPoint), scale as Tensor),
  ],
  tokenLogProbs: (inputs) => {
    const [logits, ids] = inputs as [Tensor, Tensor];
    const logProbs = op.logSoftmax(logits);
    return [op.gatherAlong(logProbs, ids), logProbs];
  },
};

/** A mask [.., 1, T, S] gets an axis for the heads of a group: [.., 1, 1, T, S]. */
function overGroups(mask: Tensor): Tensor {
  const shape: Shape = [...mask.shape.slice(0, -2), 1, ...mask.shape.slice(-2)];
  return mask.shape.length > 2 ? op.reshape(mask, shape) : mask;
}
