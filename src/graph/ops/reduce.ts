/** Reductions over axes, running sums, arg-max and sorting. */
import { type Dim, multiplyDims, type Shape, showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { axisOf, makeNode, type Tensor } from "../tensor.ts";
import { add, div, exp, log, mul, sqrt, stopGradient, sub } from "./elementwise.ts";
import { dimValue } from "./shape.ts";

export interface ReduceOptions {
  /** Keep reduced axes with size 1. */
  keepDims?: boolean;
}

/** Axes of a reduction: one, several, or all when left out. */
export type Axes = number | readonly number[] | undefined;

function axesOf(op: string, x: Tensor, axes: Axes): number[] {
  const list = axes === undefined ? x.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : [...axes];
  return list.map((axis) => axisOf(op, x, axis)).sort((a, b) => a - b);
}

const kept = (x: Tensor, axes: readonly number[]): Shape => x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
const dropped = (x: Tensor, axes: readonly number[]): Shape => x.shape.filter((_, i) => !axes.includes(i));

const reduction =
  (op: string) =>
  (x: Tensor, axes?: Axes, { keepDims = false }: ReduceOptions = {}): Tensor => {
    const over = axesOf(op, x, axes);
    if (over.length === 0) return x;
    const shape = keepDims ? kept(x, over) : dropped(x, over);
    return makeNode(op, [x], { axes: over, keepDims }, [{ dtype: x.dtype, shape }])[0] as Tensor;
  };

export const sum = reduction("sum");
/** The largest element; the gradient goes to every place that attains it, in equal parts. */
export const max = reduction("max");
export const min = reduction("min");

/** The number of elements that a reduction over `axes` joins. */
const countOf = (op: string, x: Tensor, axes: Axes): Dim =>
  multiplyDims(...axesOf(op, x, axes).map((axis) => x.shape[axis] as Dim));

export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const count = countOf("mean", x, axes);
  const total = sum(x, axes, options);
  return typeof count === "number" ? mul(total, 1 / count) : div(total, dimValue(count, x.dtype));
}

/** Biased variance (divides by n). */
export function variance(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const centred = sub(x, mean(x, axes, { keepDims: true }));
  return mean(mul(centred, centred), axes, options);
}

/** log sum exp over the last axis, stable; keeps that axis with size 1. */
export function logSumExp(x: Tensor): Tensor {
  const highest = stopGradient(max(x, -1, { keepDims: true }));
  return add(log(sum(exp(sub(x, highest)), -1, { keepDims: true })), highest);
}

/** Running sum along an axis; `exclusive` leaves out the element itself, `reverse` runs from the end. */
export function cumsum(x: Tensor, axis: number, { exclusive = false, reverse = false } = {}): Tensor {
  const at = axisOf("cumsum", x, axis);
  return makeNode("cumsum", [x], { axis: at, exclusive, reverse }, [
    { dtype: x.dtype, shape: x.shape },
  ])[0] as Tensor;
}

/** Index of the largest element along an axis (the first of equals), int64. */
export function argmax(x: Tensor, axis = -1, { keepDims = false }: ReduceOptions = {}): Tensor {
  const at = axisOf("argmax", x, axis);
  const shape = keepDims ? kept(x, [at]) : dropped(x, [at]);
  return makeNode("argmax", [x], { axis: at, keepDims }, [{ dtype: "int64", shape }])[0] as Tensor;
}

export interface Sorted {
  /** Values in order, shape [..., k]. */
  values: Tensor;
  /** Their places in the input, int64, shape [..., k]. */
  indices: Tensor;
}

/** The k largest elements of the last axis, in falling order. */
export function topK(x: Tensor, k: Dim, { largest = true } = {}): Sorted {
  const size = x.shape.at(-1);
  if (size === undefined || (typeof size === "number" && typeof k === "number" && k > size))
    throw new ShapeError(`topK: the last axis of ${showShape(x.shape)} has fewer than ${k} elements`);
  const shape = [...x.shape.slice(0, -1), k];
  const [values, indices] = makeNode("topK", [x], { k, largest }, [
    { dtype: x.dtype, shape },
    { dtype: "int64", shape },
  ]) as [Tensor, Tensor];
  return { values, indices };
}

/** Sorts the last axis, rising unless `descending`. */
export function sort(x: Tensor, { descending = false } = {}): Sorted {
  const size = x.shape.at(-1);
  if (size === undefined) throw new ShapeError("sort: a scalar has no axis to sort");
  return topK(x, size, { largest: descending });
}

/** Euclidean norm over all elements. */
export const norm = (x: Tensor): Tensor => sqrt(sum(mul(x, x)));
