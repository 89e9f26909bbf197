/**
 * An exponential moving average of the weights, kept beside whatever optimiser moves them (Polyak and Juditsky 1992;
 * with the bias correction of Kingma and Ba 2015, section 3):
 *
 *     a_t = (1 - d) / (1 - d^t) sum_{i <= t} d^(t - i) p_i = a_(t-1) + (p_t - a_(t-1)) (1 - d) / (1 - d^t)
 *
 * The second form holds the corrected average at every step, so that it can be used as it is, and starts from zeros as
 * every optimiser's state does. The weights before the first update have no part in it.
 */
import {
  AttuneError,
  add,
  cast,
  div,
  flatten,
  mul,
  pow,
  scalar,
  sub,
  type Tensor,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import { branch, type Optimizer, type State } from "./optimizer.ts";

/** The branch of the state that holds the average, shaped like the parameters. */
const averageKey = "average";
const countKey = "average_step";

/**
 * The same optimiser, which also keeps the average; its state has the average besides its own branches.
 *
 * @param decay d, from 0 (the last weights) to below 1; the average spans about 1 / (1 - d) steps
 * @throws AttuneError for a decay outside of this range
 */
export function withAverage(optimizer: Optimizer, decay: number): Optimizer {
  if (!(decay >= 0 && decay < 1))
    throw new AttuneError(`withAverage: a decay of at least 0 and below 1 is required, got ${decay}`);
  const { groupOf } = optimizer;
  return {
    ...(groupOf && { groupOf }),
    init: (params) => ({
      ...optimizer.init(params),
      [averageKey]: params,
      [countKey]: { dtype: "float32", shape: [] },
    }),
    update(gradients, state, params, settings) {
      const { [averageKey]: _, [countKey]: count, ...own } = state;
      const { params: moved, state: next } = optimizer.update(gradients, own, params, settings);
      const step = add(count as Tensor, 1);
      // 1 - d^t in double precision: in single, 1 - 0.9999 has lost four digits.
      const seen = sub(1, pow(scalar(decay, "float64"), cast(step, "float64")));
      const share = cast(div(scalar(1 - decay, "float64"), seen), "float32");
      const after = flatten(moved);
      const average: Record<string, Tensor> = {};
      for (const [path, a] of Object.entries(flatten(branch(state, averageKey))))
        average[path] = add(a, mul(sub(after[path] as Tensor, a), share));
      return {
        params: moved,
        state: { ...next, [averageKey]: unflatten(average), [countKey]: step },
      };
    },
  };
}

/** The averaged parameters of a state that `withAverage` keeps; undefined where there are none. */
export const averageOf = <L>(state: State<L>): Tree<L> | undefined =>
  state[averageKey] === undefined ? undefined : branch(state, averageKey);
