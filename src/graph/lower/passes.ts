/**
 * Graph to graph: expand what a provider has no kernel for, merge equal nodes, fuse neighbours.
 * Nodes that no output reaches disappear by themselves, because a graph is what its outputs reach.
 */
import { bytesPerElement, type HostArray, sizeOf } from "../array.ts";
import { sameShape } from "../dims.ts";
import { constantValue, scatterAddAlong, scatterAddRows } from "../ops/index.ts";
import { type Attribute, makeNode, type Node, type Subgraph, type Tensor } from "../tensor.ts";
import { decompositions } from "./decompositions.ts";

/** Every node that the outputs reach, inputs before users. */
export function reachable(outputs: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = outputs.map((x) => x.node);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const x of node.inputs) stack.push(x.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Rebuilds a graph node by node; `visit` returns a node's new outputs for its new inputs. */
function rewrite(
  outputs: readonly Tensor[],
  visit: (node: Node, inputs: readonly Tensor[]) => readonly Tensor[],
  done = new Map<Tensor, Tensor>(),
): Tensor[] {
  for (const node of reachable(outputs)) {
    if (done.has(node.outputs[0] as Tensor)) continue;
    const inputs = node.inputs.map((x) => done.get(x) as Tensor);
    const replaced = visit(node, inputs);
    for (const [i, y] of node.outputs.entries()) done.set(y, replaced[i] as Tensor);
  }
  return outputs.map((x) => done.get(x) as Tensor);
}

const withInputs = (node: Node, inputs: readonly Tensor[]): readonly Tensor[] =>
  inputs.every((x, i) => x === node.inputs[i])
    ? node.outputs
    : makeNode(node.op, inputs, node.attributes, node.outputs);

/** Applies a pass to the bodies of scans; a body is closed, so it is a graph of its own. */
export function insideBodies(
  outputs: readonly Tensor[],
  pass: (outputs: readonly Tensor[]) => Tensor[],
): Tensor[] {
  return rewrite(outputs, (node, inputs) => {
    const body = node.attributes.body as Subgraph | undefined;
    if (!body) return withInputs(node, inputs);
    const rewritten = { inputs: body.inputs, outputs: pass(body.outputs) };
    return makeNode(node.op, inputs, { ...node.attributes, body: rewritten }, node.outputs);
  });
}

/** Replaces nodes that are not `native` by what they mean. */
export function decompose(outputs: readonly Tensor[], native: (node: Node) => boolean): Tensor[] {
  const visit = (node: Node, inputs: readonly Tensor[]): readonly Tensor[] => {
    const expandInto = native(node) ? undefined : decompositions[node.op];
    if (!expandInto) return withInputs(node, inputs);
    const parts = expandInto(inputs, node);
    const leaves = new Map(inputs.map((x) => [x, x]));
    return rewriteAbove(parts, leaves, visit);
  };
  return rewrite(outputs, visit);
}

/** Like `rewrite`, but stops at tensors that are already done. */
function rewriteAbove(
  outputs: readonly Tensor[],
  done: Map<Tensor, Tensor>,
  visit: (node: Node, inputs: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const resolve = (x: Tensor): Tensor => {
    const known = done.get(x);
    if (known) return known;
    const replaced = visit(x.node, x.node.inputs.map(resolve));
    for (const [i, y] of x.node.outputs.entries()) done.set(y, replaced[i] as Tensor);
    return done.get(x) as Tensor;
  };
  return outputs.map(resolve);
}

const identities = new WeakMap<object, number>();
let nextIdentity = 0;
const identity = (x: object): number => {
  const known = identities.get(x) ?? nextIdentity++;
  identities.set(x, known);
  return known;
};

function attributeKey(value: Attribute): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (!("dtype" in value)) return Array.isArray(value) ? `[${value}]` : `#${identity(value)}`;
  const array = value as HostArray;
  const small = sizeOf(array.shape) * bytesPerElement(array.dtype) <= 64;
  return small ? `${array.dtype}[${array.shape}]${array.data}` : `#${identity(array.data)}`;
}

/** Merges nodes that apply the same operation to the same inputs. */
export function mergeEqual(outputs: readonly Tensor[]): Tensor[] {
  const known = new Map<string, readonly Tensor[]>();
  return rewrite(outputs, (node, inputs) => {
    const attributes = Object.entries(node.attributes).map(([k, v]) => `${k}=${attributeKey(v)}`);
    const shapes = node.outputs.map((y) => `${y.dtype}[${y.shape}]`);
    const args = inputs.map((x) => `${identity(x.node)}.${x.index}`);
    const key = `${node.op}(${args}){${attributes}}${shapes}`;
    const merged = known.get(key) ?? withInputs(node, inputs);
    known.set(key, merged);
    return merged;
  });
}

/** How a provider replaces a node by one that does the work of two; undefined leaves it as it is. */
export type Fusion = (
  node: Node,
  inputs: readonly Tensor[],
  usedOnce: (x: Tensor) => boolean,
) => Tensor | undefined;

/** Fuses neighbours: sums into a scatter's base everywhere, and whatever the provider adds. */
export function fuse(outputs: readonly Tensor[], fusions: Readonly<Record<string, Fusion>>): Tensor[] {
  const uses = new Map<Tensor, number>();
  const origin = new Map<Tensor, Tensor>();
  const count = (x: Tensor) => uses.set(x, (uses.get(x) ?? 0) + 1);
  for (const node of reachable(outputs)) for (const x of node.inputs) count(x);
  for (const x of outputs) count(x);
  return rewrite(outputs, (node, inputs) => {
    for (const [i, x] of inputs.entries()) origin.set(x, node.inputs[i] as Tensor);
    const usedOnce = (x: Tensor) => uses.get(origin.get(x) ?? x) === 1;
    const fused =
      (node.op === "add" ? intoScatter(inputs, usedOnce) : undefined) ??
      fusions[node.op]?.(node, inputs, usedOnce);
    return fused ? [fused] : withInputs(node, inputs);
  });
}

/** x + scatterAdd(0, i, u) is scatterAdd(x, i, u). */
function intoScatter(inputs: readonly Tensor[], usedOnce: (x: Tensor) => boolean): Tensor | undefined {
  const [a, b] = inputs as [Tensor, Tensor];
  for (const [x, scatter] of [
    [a, b],
    [b, a],
  ] as const) {
    const { op, inputs: parts, attributes } = scatter.node;
    if (!op.startsWith("scatterAdd") || !usedOnce(scatter) || !sameShape(x.shape, scatter.shape)) continue;
    const [base, indices, updates] = parts as [Tensor, Tensor, Tensor];
    if (base.node.op !== "expand" || constantValue(base.node.inputs[0] as Tensor) !== 0) continue;
    return op === "scatterAddRows"
      ? scatterAddRows(x, indices, updates)
      : scatterAddAlong(x, indices, updates, attributes.axis as number);
  }
  return undefined;
}
