/**
 * Ragged batches: arrays padded to one common length are cut to the length that they need at run time.
 * A batch of short rows then costs what its own rows cost, though all batches of a run share one array.
 */
import { type Dim, isName, showShape } from "./dims.ts";
import { ShapeError } from "./errors.ts";
import { axisOf, makeNode, type Tensor } from "./tensor.ts";
import { mapTree, type Tree } from "./tree.ts";

/**
 * The first `length` elements of one axis, where `length` is only known at run time.
 *
 * @param length int64 scalar of at least 0 and at most the size of the axis (this is not checked)
 * @param name the name of the axis in the result; one name stands for one length in a graph
 */
export function sliceTo(x: Tensor, axis: number, length: Tensor, name: string): Tensor {
  const at = axisOf("sliceTo", x, axis);
  if (length.dtype !== "int64" || length.shape.length > 0)
    throw new ShapeError(
      `sliceTo: the length must be an int64 scalar, got ${length.dtype} ${showShape(length.shape)}`,
    );
  if (!isName(name)) throw new ShapeError(`sliceTo: "${name}" is no name of a dimension`);
  if (x.shape.some((dim) => dim === name))
    throw new ShapeError(`sliceTo: the name ${name} is taken, choose another`);
  const shape = x.shape.map((dim, i) => (i === at ? name : dim));
  return makeNode("sliceTo", [x, length], { axis: at, name }, [{ dtype: x.dtype, shape }])[0] as Tensor;
}

/** Cuts every axis of size `from` in a tree of tensors to `length`, and calls it `to`. */
export function sliceBatch<T extends Tree<Tensor>>(batch: T, from: Dim, length: Tensor, to: string): T {
  return mapTree<Tensor, Tensor>(batch, (x) =>
    x.shape.reduce<Tensor>((cut, dim, axis) => (dim === from ? sliceTo(cut, axis, length, to) : cut), x),
  ) as T;
}
