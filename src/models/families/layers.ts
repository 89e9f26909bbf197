/**
 * What the families share: named weights, projections, heads and masks.
 *
 * Inside a model, activations are rows [N, C], so that every projection is one plain product; only attention sees
 * [B, H, T, D] (sequence.ts).
 */
import type { Dim, Tensor } from "../../graph/index.ts";
import {
  AttuneError,
  add,
  and,
  arange,
  checkpoint,
  equal,
  expandDims,
  gelu,
  geluErf,
  greaterEqual,
  less,
  matmul,
  mul,
  or,
  relu,
  reshape,
  scalar,
  silu,
  sub,
  where,
} from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import { project, tracing } from "../tracing.ts";

/** The weights of a part of the model, by the names below it. */
export interface Weights {
  /** A weight that must be there. */
  (name: string): Tensor;
  /** A weight that may be missing, such as a bias or an adapter. */
  maybe(name: string): Tensor | undefined;
  /** The same weights seen from a part further down. */
  at(part: string): Weights;
}

export function weightsOf(flat: Readonly<Record<string, Tensor>>, prefix = ""): Weights {
  const get = (name: string): Tensor => {
    const tensor = flat[prefix + name];
    if (!tensor) throw new AttuneError(`model: the parameters have no ${prefix}${name}`);
    return tensor;
  };
  return Object.assign(get, {
    maybe: (name: string) => flat[prefix + name],
    at: (part: string) => weightsOf(flat, `${prefix}${part}.`),
  });
}

/** x W' + b with W [out, in] as PyTorch's Linear keeps it. */
export const linear = (w: Weights, x: Tensor): Tensor =>
  adapted(w, x, project(x, w("weight"), { transposeB: true }));

/** x W + b with W [in, out], the layout of GPT-2's Conv1D. */
export const conv1d = (w: Weights, x: Tensor): Tensor => adapted(w, x, project(x, w("weight")));

/**
 * Adds the bias, and the low-rank update of an adapter where the weights hold one (see adapters/lora.ts): the scaling
 * stands at the narrow place, [N, r].
 */
function adapted(w: Weights, x: Tensor, product: Tensor): Tensor {
  const bias = w.maybe("bias");
  const y = bias ? add(product, bias) : product;
  const [a, b, scaling] = [w.maybe("lora_A.weight"), w.maybe("lora_B.weight"), w.maybe("lora_scaling")];
  if (!a || !b || !scaling) return y;
  return add(y, matmul(mul(matmul(x, a, { transposeB: true }), scaling), b, { transposeB: true }));
}

/** [B, T, C] to [B T, C]. */
export const toRows = (x: Tensor): Tensor => reshape(x, [-1, x.shape.at(-1) as Dim]);

export const activations: Readonly<Record<ModelConfig["activation"], (x: Tensor) => Tensor>> = {
  gelu_new: gelu,
  gelu: geluErf,
  silu,
  relu,
};

/** Names and shapes of all layers: `row` gives those of one, under its prefix. */
export function perLayer(
  part: string,
  layers: number,
  row: (prefix: string) => Record<string, number[]>,
): Record<string, number[]> {
  return Object.assign({}, ...Array.from({ length: layers }, (_, i) => row(`${part}.${i}`)));
}

/**
 * x through the layers in turn. Where the trace asks for it, the backward pass computes a layer again from its input:
 * then only the inputs of all layers, and the inner values of one, are in memory.
 */
export function throughLayers(
  x: Tensor,
  layers: number,
  layer: (x: Tensor, index: number) => Tensor,
): Tensor {
  const { recompute } = tracing();
  let y = x;
  for (let i = 0; i < layers; i++) {
    const one = (input: Tensor) => layer(input, i);
    y = recompute ? checkpoint(one)(y) : one(y);
  }
  return y;
}

/** Far below any score, and finite, so that a row with everything masked stays finite too. */
export const masked = -1e30;

/**
 * The mask that is added to attention scores, 0 or -1e30: a token sees itself and what stands before it in
 * its own segment, at most `window` tokens back; with `branches` what stands before it in the trunk and its own branch.
 *
 * @param length T
 * @param segments [B, T], int64; rows of one segment each need none: padding on the right is never seen
 * @param branches [B, T], int64: 0 in the trunk, 1, 2, ... in branches that leave from its end
 * @param positions [B, T], int64; what a window counts where there are branches
 * @returns [T, T], or [B, 1, T, T] with segments or branches
 */
export function causalMask(length: Dim, { window, segments, branches, positions }: MaskOptions = {}): Tensor {
  const place = arange(length);
  const [to, from] = [expandDims(place, 1), expandDims(place, 0)];
  const visible = [greaterEqual(to, from)];
  const pairs = (x: Tensor) => [expandDims(x, 2), expandDims(x, 1)] as const; // of [B, T, T]
  if (segments) visible.push(equal(...pairs(segments)));
  if (branches) visible.push(or(equal(...pairs(branches)), equal(pairs(branches)[1], 0)));
  if (window !== undefined)
    visible.push(less(branches && positions ? sub(...pairs(positions)) : sub(to, from), window));
  const together = visible.reduce((a, b) => and(b, a));
  const mask = together.shape.length > 2 ? expandDims(together, 1) : together;
  return where(mask, scalar(0), scalar(masked));
}

interface MaskOptions {
  readonly window?: number | undefined;
  readonly segments?: Tensor | undefined;
  readonly branches?: Tensor | undefined;
  readonly positions?: Tensor | undefined;
}

/**
 * The mask of an encoder, 0 or -1e30: a token sees its own segment, or what of its row is no padding.
 *
 * @param segments [B, T], int64
 * @param lengths [B], int64: tokens of each row, which is padded on the right
 * @returns [B, 1, T, T] with segments, else [B, 1, 1, T]; nothing when all rows are whole
 */
export function encoderMask(
  length: Dim,
  { segments, lengths }: { segments?: Tensor; lengths?: Tensor } = {},
): Tensor | undefined {
  if (segments) {
    const same = equal(expandDims(segments, 2), expandDims(segments, 1)); // [B, T, T]
    return where(expandDims(same, 1), scalar(0), scalar(masked));
  }
  if (!lengths) return undefined;
  const real = less(expandDims(arange(length), 0), expandDims(lengths, 1)); // [B, T]
  return where(expandDims(expandDims(real, 1), 1), scalar(0), scalar(masked));
}
