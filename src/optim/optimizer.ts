/**
 * Optimisers as pairs of functions over parameter trees, traced into the train step.
 */
import { AttuneError, type Shape, type Tensor, type TensorSpec, type Tree } from "../graph/index.ts";

/** What an optimiser remembers: a tree whose first keys name the kinds of state. */
export type State<L> = Tree<L>;

export interface UpdateSettings {
  /** A scalar, float32 []. */
  learningRate: Tensor;
  /** A scalar that multiplies every gradient, such as the factor that clips their norm; 1 when left out. */
  gradientScale?: Tensor;
  /** The norm of all gradients, for optimisers that leave out steps where it is not finite. */
  norm?: Tensor;
}

export interface Updated {
  params: Tree<Tensor>;
  state: State<Tensor>;
}

export interface Optimizer {
  /** The specification of the state for parameters of these specifications; the state starts as zeros. */
  init(params: Tree<TensorSpec>): State<TensorSpec>;
  /** The next parameters and state. */
  update(
    gradients: Tree<Tensor>,
    state: State<Tensor>,
    params: Tree<Tensor>,
    settings: UpdateSettings,
  ): Updated;
  /** Parameters in different groups are treated differently, and so never joined into one vector. */
  groupOf?(path: string, shape: Shape): string;
}

/** A branch of the state, by name. */
export function branch<L>(state: State<L>, name: string): Tree<L> {
  const found = state[name];
  if (!found || typeof found !== "object") throw new AttuneError(`optimizer: the state has no ${name}`);
  return found as Tree<L>;
}
