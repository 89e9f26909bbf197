/** Gradient clipping by the norm over all parameters (Pascanu et al. 2013). */
import {
  add,
  addAll,
  div,
  flatten,
  mapTree,
  minimum,
  mul,
  sqrt,
  sum,
  type Tensor,
  type Tree,
} from "../graph/index.ts";

/** Euclidean norm over every element of every leaf, a scalar. */
export function globalNorm(tree: Tree<Tensor>): Tensor {
  // ONNX Runtime runs a chain of sums from its inside out. In the order in which the backward pass yields the
  // gradients, each is computed beside the values that it reads; in the tree's order all of those are kept.
  const leaves = Object.values(flatten(tree)).sort((a, b) => a.node.id - b.node.id);
  return sqrt(addAll(leaves.map((x) => sum(mul(x, x)))));
}

/**
 * min(1, maxNorm / (norm + 1e-6)), the factor by which `torch.nn.utils.clip_grad_norm_` multiplies gradients.
 *
 * @param norm the global norm before clipping
 */
export const clipFactor = (norm: Tensor, maxNorm: number): Tensor =>
  minimum(div(maxNorm, add(norm, 1e-6)), 1);

/** The gradients scaled by `clipFactor`, and their norm before. */
export function clipByGlobalNorm(
  gradients: Tree<Tensor>,
  maxNorm: number,
): { gradients: Tree<Tensor>; norm: Tensor } {
  const norm = globalNorm(gradients);
  const factor = clipFactor(norm, maxNorm);
  return { gradients: mapTree(gradients, (g) => mul(g, factor)), norm };
}
