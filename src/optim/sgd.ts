/**
 * Stochastic gradient descent with momentum, as PyTorch has it.
 *
 *     g += wd p          b = momentum b + g          p -= lr b      (Nesterov: p -= lr (g + momentum b))
 */
import { add, flatten, mul, scalar, sub, type Tensor, type TensorSpec, unflatten } from "../graph/index.ts";
import { branch, type Optimizer, type State } from "./optimizer.ts";

export interface SgdOptions {
  momentum?: number;
  nesterov?: boolean;
  /** An L2 penalty. */
  weightDecay?: number;
  /** Which parameters decay; by default all. */
  decays?: (path: string, shape: readonly unknown[]) => boolean;
}

export const sgd = ({
  momentum = 0,
  nesterov = false,
  weightDecay = 0,
  decays = () => true,
}: SgdOptions = {}): Optimizer => ({
  init: (params): State<TensorSpec> => (momentum > 0 ? { momentum: params } : {}),
  groupOf: (path, shape) => `decays ${decays(path, shape)}`,
  update(gradients, state, params, { learningRate, gradientScale = scalar(1) }) {
    const before = momentum > 0 ? flatten(branch(state, "momentum")) : {};
    const flat = flatten(gradients);
    const nextParams: Record<string, Tensor> = {};
    const nextMomentum: Record<string, Tensor> = {};
    for (const [path, p] of Object.entries(flatten(params))) {
      const scaled = mul(flat[path] as Tensor, gradientScale);
      const g = weightDecay > 0 && decays(path, p.shape) ? add(scaled, mul(p, weightDecay)) : scaled;
      let direction = g;
      if (momentum > 0) {
        const b = add(mul(before[path] as Tensor, momentum), g);
        nextMomentum[path] = b;
        direction = nesterov ? add(g, mul(b, momentum)) : b;
      }
      nextParams[path] = sub(p, mul(direction, learningRate));
    }
    const after: State<Tensor> = momentum > 0 ? { momentum: unflatten(nextMomentum) } : {};
    return { params: unflatten(nextParams), state: after };
  },
});
