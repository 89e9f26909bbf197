/** Operations that move elements without computing: reshape, transpose, expand, slice, concat, pad, arange. */
import type { DType } from "../array.ts";
import {
  addDims,
  broadcastShapes,
  canonicalDim,
  type Dim,
  divideDims,
  multiplyDims,
  type Shape,
  sameShape,
  showShape,
  sizeOfShape,
  subtractDims,
} from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { axisOf, makeNode, type Tensor } from "../tensor.ts";
import { scalar } from "./elementwise.ts";

const one = (op: string, x: Tensor, shape: Shape, attributes = {}): Tensor =>
  makeNode(op, [x], attributes, [{ dtype: x.dtype, shape }])[0] as Tensor;

/** The same elements in another shape; one dimension may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.filter((d) => d !== -1).map(canonicalDim);
  const total = sizeOfShape(x.shape);
  let target = shape.map((d) => (d === -1 ? -1 : canonicalDim(d)));
  if (known.length < shape.length) {
    const rest = divideDims(total, multiplyDims(...known));
    if (known.length !== shape.length - 1 || rest === undefined)
      throw new ShapeError(`reshape: ${showShape(x.shape)} does not fill ${showShape(shape)}`);
    target = target.map((d) => (d === -1 ? rest : d));
  }
  if (sizeOfShape(target) !== total)
    throw new ShapeError(`reshape: ${showShape(x.shape)} does not fill ${showShape(shape)}`);
  if (sameShape(target, x.shape)) return x;
  const source = x.node.op === "reshape" ? (x.node.inputs[0] as Tensor) : x;
  return sameShape(target, source.shape) ? source : one("reshape", source, target);
}

/** Adds axes of size 1 so that `axis` exists. */
export function expandDims(x: Tensor, axis: number): Tensor {
  const at = axis < 0 ? axis + x.shape.length + 1 : axis;
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Removes an axis of size 1. */
export function squeeze(x: Tensor, axis: number): Tensor {
  const at = axisOf("squeeze", x, axis);
  if (x.shape[at] !== 1) throw new ShapeError(`squeeze: axis ${axis} of ${showShape(x.shape)} is not 1`);
  return reshape(x, [...x.shape.slice(0, at), ...x.shape.slice(at + 1)]);
}

/** Reorders the axes; by default the last two are exchanged. */
export function transpose(x: Tensor, order?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const axes = order ?? [...Array(rank).keys()].map((i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  if (axes.length !== rank || new Set(axes).size !== rank || axes.some((a) => a < 0 || a >= rank))
    throw new ShapeError(`transpose: [${axes}] is not an order of the axes of ${showShape(x.shape)}`);
  if (axes.every((a, i) => a === i)) return x;
  if (x.node.op === "transpose") {
    const inner = x.node.attributes.order as readonly number[];
    return transpose(
      x.node.inputs[0] as Tensor,
      axes.map((a) => inner[a] as number),
    );
  }
  return one(
    "transpose",
    x,
    axes.map((a) => x.shape[a] as Dim),
    { order: axes },
  );
}

/** Stretches axes of size 1 (and adds leading ones) to the given shape. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const target = shape.map(canonicalDim);
  const result = broadcastShapes(x.shape, target);
  if (!result || !sameShape(result, target))
    throw new ShapeError(`expand: ${showShape(x.shape)} does not broadcast to ${showShape(shape)}`);
  return sameShape(x.shape, target) ? x : one("expand", x, target);
}

/** A tensor of one value in every place. */
export const full = (shape: Shape, value: number, dtype: DType = "float32"): Tensor =>
  expand(scalar(value, dtype), shape);

export const zerosLike = (x: Tensor): Tensor => full(x.shape, 0, x.dtype);
export const onesLike = (x: Tensor): Tensor => full(x.shape, 1, x.dtype);

/** Elements `start` (inclusive) to `end` (exclusive) of one axis; both are dimensions of at least 0. */
export function slice(x: Tensor, axis: number, start: Dim, end: Dim): Tensor {
  const at = axisOf("slice", x, axis);
  const size = x.shape[at] as Dim;
  const [from, to] = [canonicalDim(start), canonicalDim(end)];
  const length = subtractDims(to, from);
  if (typeof length === "number" && length < 0)
    throw new ShapeError(`slice: the end ${end} lies before the start ${start}`);
  if (typeof to === "number" && typeof size === "number" && to > size)
    throw new ShapeError(`slice: axis ${axis} of ${showShape(x.shape)} ends before ${end}`);
  if (from === 0 && to === size) return x;
  const shape = x.shape.map((d, i) => (i === at ? length : d));
  return one("slice", x, shape, { axis: at, start: from, end: to });
}

/** Splits an axis into consecutive parts of the given sizes. */
export function split(x: Tensor, sizes: readonly Dim[], axis: number): Tensor[] {
  const at = axisOf("split", x, axis);
  const total = addAllDims(sizes);
  if (total !== x.shape[at])
    throw new ShapeError(
      `split: the sizes [${sizes}] do not add up to axis ${axis} of ${showShape(x.shape)}`,
    );
  const outputs = sizes.map((size) => ({
    dtype: x.dtype,
    shape: x.shape.map((d, i) => (i === at ? size : d)),
  }));
  return [...makeNode("split", [x], { axis: at, sizes }, outputs)];
}

/** The slices of the first axis, without that axis. */
export function unstack(x: Tensor): Tensor[] {
  const count = x.shape[0];
  if (typeof count !== "number")
    throw new ShapeError(`unstack: the first axis of ${showShape(x.shape)} must be a number`);
  return split(x, Array(count).fill(1), 0).map((part) => reshape(part, x.shape.slice(1)));
}

/** Joins tensors along an axis; the other axes must agree. */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  const [first] = xs;
  if (!first) throw new ShapeError("concat: at least one tensor is required");
  const at = axisOf("concat", first, axis);
  for (const x of xs) {
    const fits =
      x.shape.length === first.shape.length && x.shape.every((d, i) => i === at || d === first.shape[i]);
    if (!fits || x.dtype !== first.dtype)
      throw new ShapeError(
        `concat: ${first.dtype} ${showShape(first.shape)} and ${x.dtype} ${showShape(x.shape)} differ outside axis ${axis}`,
      );
  }
  if (xs.length === 1) return first;
  const total = addAllDims(xs.map((x) => x.shape[at] as Dim));
  const shape = first.shape.map((d, i) => (i === at ? total : d));
  return makeNode("concat", xs, { axis: at }, [{ dtype: first.dtype, shape }])[0] as Tensor;
}

/** Adds `before` and `after` elements of a constant value (0 by default) to one axis. */
export function pad(x: Tensor, axis: number, before: Dim, after: Dim, value = 0): Tensor {
  const at = axisOf("pad", x, axis);
  if (before === 0 && after === 0) return x;
  const shape = x.shape.map((d, i) => (i === at ? addAllDims([before, d, after]) : d));
  return one("pad", x, shape, { axis: at, before: canonicalDim(before), after: canonicalDim(after), value });
}

/** 0, 1, ... up to `length` (exclusive), as int64 of shape [length]. */
export const arange = (length: Dim): Tensor =>
  makeNode("arange", [], { length: canonicalDim(length) }, [
    { dtype: "int64", shape: [canonicalDim(length)] },
  ])[0] as Tensor;

/** The run-time value of a dimension as a scalar. */
export function dimValue(dim: Dim, dtype: DType = "float32"): Tensor {
  const size = canonicalDim(dim);
  if (typeof size === "number") return scalar(size, dtype);
  return makeNode("dimValue", [], { dim: size }, [{ dtype, shape: [] }])[0] as Tensor;
}

const addAllDims = (dims: readonly Dim[]): Dim => dims.reduce<Dim>((a, b) => addDims(a, b), 0);
