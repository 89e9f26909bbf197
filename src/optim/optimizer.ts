/**
 * Optimisers as pairs of functions over parameter trees, traced into the train step.
 *
 * An update is added to its parameter: `applyUpdates` gives parameter + update.
 */
import { add, AttuneError, type Tensor, type TensorSpec, type Tree, zipTree } from "../graph/index.ts";

/** What an optimiser remembers: a tree whose first keys name the kinds of state. */
export type State<L> = Tree<L>;

export interface Optimizer {
  /** The specification of the state for parameters of these specifications; the state starts as zeros. */
  init(params: Tree<TensorSpec>): State<TensorSpec>;
  /** Updates and the next state. `learningRate` is a scalar, float32 []. */
  update(
    gradients: Tree<Tensor>,
    state: State<Tensor>,
    params: Tree<Tensor>,
    learningRate: Tensor,
  ): { updates: Tree<Tensor>; state: State<Tensor> };
}

/** parameter + update, leaf by leaf. */
export const applyUpdates = (params: Tree<Tensor>, updates: Tree<Tensor>): Tree<Tensor> =>
  zipTree(params, updates, (p, u) => add(p, u));

/** A branch of the state, by name. */
export function branch<L>(state: State<L>, name: string): Tree<L> {
  const found = state[name];
  if (!found || typeof found !== "object") throw new AttuneError(`optimizer: the state has no ${name}`);
  return found as Tree<L>;
}
