/** Gradient clipping by the norm over all parameters (Pascanu et al. 2013). */
import { add, addAll, div, flatten, mapTree, minimum, mul, sqrt, sum, type Tensor, type Tree } from "../graph/index.ts";

/** Euclidean norm over every element of every leaf, a scalar. */
export const globalNorm = (tree: Tree<Tensor>): Tensor =>
  sqrt(addAll(Object.values(flatten(tree)).map((x) => sum(mul(x, x)))));

/**
 * g min(1, maxNorm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`; the norm is the one before clipping.
 */
export function clipByGlobalNorm(gradients: Tree<Tensor>, maxNorm: number): { gradients: Tree<Tensor>; norm: Tensor } {
  const norm = globalNorm(gradients);
  const factor = minimum(div(maxNorm, add(norm, 1e-6)), 1);
  return { gradients: mapTree(gradients, (g) => mul(g, factor)), norm };
}
