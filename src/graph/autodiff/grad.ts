/**
 * Reverse-mode differentiation, graph to graph.
 *
 * The walk visits nodes from the loss backwards in falling order of their ids. A node's inputs are always
 * older than the node, so every gradient is complete when its node is reached, also when a rule (that of
 * `checkpoint`) adds nodes to the graph while the walk goes on.
 */
import { broadcastShapes, type Dim, sameShape, showShape } from "../dims.ts";
import { AttuneError, ShapeError } from "../errors.ts";
import { add, expand, full, reshape, sum, zerosLike } from "../ops/index.ts";
import type { Node, Tensor } from "../tensor.ts";
import { flatten, mapTree, type Tree } from "../tree.ts";
import { recompute } from "./checkpoint.ts";
import { gradientRules, withoutGradient } from "./gradients.ts";
import { chunkedGradients } from "./in-chunks.ts";

/**
 * The gradient of a scalar with respect to tensors; zeros where it does not depend on them.
 *
 * @throws ShapeError when `loss` is no scalar; AttuneError when an operation on the way has no rule
 */
export function gradientOf(loss: Tensor, wrt: readonly Tensor[], seed?: Tensor): Tensor[] {
  if (loss.shape.length > 0 && !seed)
    throw new ShapeError(
      `grad: the loss must be a scalar, got ${showShape(loss.shape)}; reduce it with sum or mean`,
    );
  const depends = dependence(wrt);
  const gradients = new Map<Tensor, Tensor>();
  const pending = new NodeQueue();
  const send = (to: Tensor, gradient: Tensor) => {
    const sofar = gradients.get(to);
    gradients.set(to, sofar ? add(sofar, gradient) : gradient);
    if (!wrt.includes(to) || to.node.inputs.length > 0) pending.push(to.node);
  };
  if (depends(loss.node)) send(loss, seed ?? full([], 1, loss.dtype));

  for (let node = pending.pop(); node; node = pending.pop()) {
    if (withoutGradient.has(node.op)) continue;
    const dys = node.outputs.map((y) => gradients.get(y));
    if (node.op === "checkpoint") {
      for (const [y, dy] of recompute(node, dys)) send(y, dy);
      continue;
    }
    if (node.op === "inChunks") {
      const needed = (x: Tensor) => depends(x.node);
      for (const [x, dx] of chunkedGradients(node, { dys, needed, gradientOf })) send(x, dx);
      continue;
    }
    const rule = gradientRules[node.op];
    if (!rule) throw new AttuneError(`grad: ${node.op} has no gradient rule; use stopGradient around it`);
    const y = node.outputs[0] as Tensor;
    const found = rule(node.inputs, dys[0] ?? zerosLike(y), y, node, dys);
    for (const [i, x] of node.inputs.entries()) {
      const gradient = found[i];
      if (gradient && depends(x.node)) send(x, fitted(gradient, x));
    }
  }
  return wrt.map((x) => gradients.get(x) ?? zerosLike(x));
}

/** Sums a gradient over the axes that were broadcast and stretches those that were reduced. */
function fitted(gradient: Tensor, x: Tensor): Tensor {
  if (sameShape(gradient.shape, x.shape)) return gradient;
  if (!broadcastShapes(gradient.shape, x.shape))
    throw new ShapeError(`grad: a gradient ${showShape(gradient.shape)} does not fit ${showShape(x.shape)}`);
  const lead = gradient.shape.length - x.shape.length;
  const axes = gradient.shape.flatMap((dim, i): number[] =>
    i < lead || (x.shape[i - lead] === 1 && dim !== 1) ? [i] : [],
  );
  const summed = axes.length > 0 ? sum(gradient, axes, { keepDims: true }) : gradient;
  const aligned = lead > 0 ? reshape(summed, summed.shape.slice(lead) as Dim[]) : summed;
  return expand(aligned, x.shape);
}

/** Whether a node depends on one of the tensors; answers are remembered. */
function dependence(wrt: readonly Tensor[]): (node: Node) => boolean {
  const known = new Map<Node, boolean>(wrt.map((x) => [x.node, true]));
  return (root) => {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.at(-1) as Node;
      if (known.has(node)) {
        stack.pop();
        continue;
      }
      const open = node.inputs.filter((x) => !known.has(x.node));
      if (open.length > 0 && node.op !== "stopGradient") {
        for (const x of open) stack.push(x.node);
        continue;
      }
      known.set(node, node.op !== "stopGradient" && node.inputs.some((x) => known.get(x.node)));
      stack.pop();
    }
    return known.get(root) as boolean;
  };
}

/** A heap of distinct nodes, the youngest first. */
class NodeQueue {
  readonly #heap: Node[] = [];
  readonly #members = new Set<Node>();

  push(node: Node): void {
    if (this.#members.has(node)) return;
    this.#members.add(node);
    const heap = this.#heap;
    let at = heap.push(node) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as Node).id >= node.id) break;
      heap[at] = heap[parent] as Node;
      at = parent;
    }
    heap[at] = node;
  }

  pop(): Node | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last) return undefined;
    this.#members.delete(top);
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Node).id > (heap[child] as Node).id) child++;
      if ((heap[child] as Node).id <= last.id) break;
      heap[at] = heap[child] as Node;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** A function of a tree of parameters (and anything else) that returns a scalar loss. */
export type LossFunction<Rest extends readonly unknown[]> = (params: Tree<Tensor>, ...rest: Rest) => Tensor;

/** The loss and its gradient with respect to every leaf of the first argument. */
export function valueAndGrad<Rest extends readonly unknown[]>(
  fn: LossFunction<Rest>,
): (params: Tree<Tensor>, ...rest: Rest) => [Tensor, Tree<Tensor>] {
  return (params, ...rest) => {
    const loss = fn(params, ...rest);
    const leaves = flatten(params);
    const gradients = gradientOf(loss, Object.values(leaves));
    const byPath = new Map(Object.keys(leaves).map((path, i) => [path, gradients[i] as Tensor]));
    return [loss, mapTree(params, (_, path) => byPath.get(path) as Tensor)];
  };
}

/** The gradient of a loss function with respect to its first argument. */
export function grad<Rest extends readonly unknown[]>(
  fn: LossFunction<Rest>,
): (params: Tree<Tensor>, ...rest: Rest) => Tree<Tensor> {
  return (params, ...rest) => valueAndGrad(fn)(params, ...rest)[1];
}
