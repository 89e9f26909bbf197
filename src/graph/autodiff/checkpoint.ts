/**
 * Recomputation in the backward pass (Chen et al. 2016): the values inside a checkpointed function are not
 * kept for the gradient but computed again from its arguments when the gradient arrives.
 *
 * The second computation must not be merged with the first, neither by our own pass nor by the runtime's.
 * `after(x, dy)` is x, available only once dy is, which keeps the two apart.
 */
import { makeNode, type Tensor } from "../tensor.ts";

type Body = (...args: Tensor[]) => Tensor;

const bodies = new WeakMap<object, Body>();

/**
 * The same function, whose inner values are recomputed for the gradient. Parameters may be captured from
 * outside; the values of `args` are what is kept.
 */
export function checkpoint(fn: Body): Body {
  return (...args) => {
    const output = fn(...args);
    const [y] = makeNode("checkpoint", [...args, output], {}, [output]) as [Tensor];
    bodies.set(y.node, fn);
    return y;
  };
}

/** The value of x, not available before `dependency` is. */
export const after = (x: Tensor, dependency: Tensor): Tensor =>
  makeNode("after", [x, dependency], {}, [x])[0] as Tensor;

/** Traces a checkpointed body again behind the incoming gradient; returns where that gradient now goes. */
export function recompute(node: Tensor["node"], dys: readonly (Tensor | undefined)[]): [Tensor, Tensor][] {
  const [dy] = dys;
  const body = bodies.get(node);
  if (!dy || !body) return [];
  const args = node.inputs.slice(0, -1).map((x) => (x.dtype.startsWith("float") ? after(x, dy) : x));
  return [[body(...args), dy]];
}
