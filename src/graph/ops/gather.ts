/** Reading and adding to elements by index. Indices are int64 (int32 is cast) and lie in [0, size). */
import { type Dim, sameShape, showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { axisOf, makeNode, type Tensor } from "../tensor.ts";
import { cast } from "./elementwise.ts";

const indexOf = (op: string, indices: Tensor): Tensor => {
  if (indices.dtype !== "int64" && indices.dtype !== "int32")
    throw new ShapeError(`${op}: indices must be int64 or int32, got ${indices.dtype}`);
  return cast(indices, "int64");
};

/** Whole slices of `axis`: x [.., V, ..] and indices [I...] give [.., I..., ..]. Embedding lookup is axis 0. */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
  const at = axisOf("gather", x, axis);
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return makeNode("gather", [x, indexOf("gather", indices)], { axis: at }, [
    { dtype: x.dtype, shape },
  ])[0] as Tensor;
}

function checkAlong(op: string, x: Tensor, indices: Tensor, at: number): void {
  const fits =
    x.shape.length === indices.shape.length && x.shape.every((d, i) => i === at || d === indices.shape[i]);
  if (!fits)
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} and indices ${showShape(indices.shape)} must agree outside axis ${at}`,
    );
}

/** One element per index along `axis`: out[i, j] = x[i, indices[i, j]] for the last axis. */
export function gatherAlong(x: Tensor, indices: Tensor, axis = -1): Tensor {
  const at = axisOf("gatherAlong", x, axis);
  checkAlong("gatherAlong", x, indices, at);
  return makeNode("gatherAlong", [x, indexOf("gatherAlong", indices)], { axis: at }, [
    { dtype: x.dtype, shape: indices.shape },
  ])[0] as Tensor;
}

/** x with updates[i, j] added at [i, indices[i, j]] (for the last axis); equal indices add up. */
export function scatterAddAlong(x: Tensor, indices: Tensor, updates: Tensor, axis = -1): Tensor {
  const at = axisOf("scatterAddAlong", x, axis);
  checkAlong("scatterAddAlong", x, indices, at);
  if (!sameShape(indices.shape, updates.shape))
    throw new ShapeError(
      `scatterAddAlong: indices ${showShape(indices.shape)} and updates ${showShape(updates.shape)} must agree`,
    );
  return makeNode("scatterAddAlong", [x, indexOf("scatterAddAlong", indices), updates], { axis: at }, [
    { dtype: x.dtype, shape: x.shape },
  ])[0] as Tensor;
}

/** x [V, ...] with rows updates [N, ...] added at indices [N]; equal indices add up. */
export function scatterAddRows(x: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const wanted: Dim[] = [...indices.shape, ...x.shape.slice(1)];
  if (indices.shape.length !== 1 || !sameShape(updates.shape, wanted))
    throw new ShapeError(
      `scatterAddRows: ${showShape(x.shape)} with indices ${showShape(indices.shape)} needs updates ${showShape(wanted)}, got ${showShape(updates.shape)}`,
    );
  return makeNode("scatterAddRows", [x, indexOf("scatterAddRows", indices), updates], {}, [
    { dtype: x.dtype, shape: x.shape },
  ])[0] as Tensor;
}

/**
 * Rows in another arrangement: y[i] = x[indices[i]], for rows that are read at most once, or read again only where the
 * gradient is zero. The caller knows the way back, so the gradient is a gather too, and needs no sums.
 *
 * @param x [N, ...]
 * @param indices [I...], int64
 * @param inverse [N], int64: the place of each row among the I, and I itself for a row that none reads
 * @param onto every row is read, so that no `inverse` is I
 */
export function regroup(x: Tensor, indices: Tensor, inverse: Tensor, { onto = false } = {}): Tensor {
  if (inverse.shape.length !== 1 || inverse.shape[0] !== x.shape[0])
    throw new ShapeError(
      `regroup: ${showShape(x.shape)} needs an inverse [${x.shape[0]}], got ${showShape(inverse.shape)}`,
    );
  const inputs = [x, indexOf("regroup", indices), indexOf("regroup", inverse)];
  const shape = [...indices.shape, ...x.shape.slice(1)];
  return makeNode("regroup", inputs, { onto }, [{ dtype: x.dtype, shape }])[0] as Tensor;
}
