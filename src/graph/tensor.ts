/**
 * Symbolic tensors: a function over them runs once and leaves a graph behind.
 *
 * A node applies one operation of the op table to its inputs; a tensor is one output of a node. Nodes are
 * never changed after they are made, so a graph is just the set of nodes that its outputs reach.
 */
import type { DType, HostArray } from "./array.ts";
import { canonicalDim, type Dim, type Shape, showShape } from "./dims.ts";
import { ShapeError } from "./errors.ts";

export type Attribute = string | number | boolean | readonly Dim[] | HostArray | Subgraph | undefined;
export type Attributes = Readonly<Record<string, Attribute>>;

export interface Node {
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

export interface Tensor {
  readonly node: Node;
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The body of a `scan`: a graph of its own, whose inputs stand for everything that it reads from outside. */
export interface Subgraph {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

let nextId = 0;

/** Makes a node with the given outputs and returns its tensors. */
export function makeNode(
  op: string,
  inputs: readonly Tensor[],
  attributes: Attributes,
  outputs: readonly TensorSpec[],
): readonly Tensor[] {
  const tensors: Tensor[] = [];
  const node: Node = { id: nextId++, op, inputs, attributes, outputs: tensors };
  for (const [index, { dtype, shape }] of outputs.entries()) tensors.push({ node, index, dtype, shape });
  return tensors;
}

/** A named input of a graph; a dimension may be a number, a name or a polynomial of names. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
  return makeNode("input", [], { name }, [{ dtype, shape: shape.map(canonicalDim) }])[0] as Tensor;
}

/** A tensor whose values are known while tracing. */
export function constant(value: HostArray): Tensor {
  return makeNode("constant", [], { value }, [{ dtype: value.dtype, shape: value.shape }])[0] as Tensor;
}

export const isTensor = (x: unknown): x is Tensor =>
  typeof x === "object" && x !== null && "node" in x && "dtype" in x;

/** A non-negative axis; throws when the tensor has no such axis. */
export function axisOf(op: string, x: Tensor, axis: number): number {
  const at = axis < 0 ? axis + x.shape.length : axis;
  if (!Number.isInteger(axis) || at < 0 || at >= x.shape.length)
    throw new ShapeError(`${op}: ${showShape(x.shape)} has no axis ${axis}`);
  return at;
}

export const dimAt = (x: Tensor, axis: number): Dim => x.shape[axisOf("dimAt", x, axis)] as Dim;
