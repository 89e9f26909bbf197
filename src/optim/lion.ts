/**
 * Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2): every element moves by the same
 * amount, in the direction of a sign.
 *
 *     c = b1 m + (1 - b1) g            p = p - lr (sign(c) + wd p)            m = b2 m + (1 - b2) g
 *
 * It keeps one number a parameter, half of Adam's. Because a sign is larger than Adam's quotient, the paper takes a
 * learning rate three to ten times smaller, and a weight decay as many times larger.
 */
import { add, flatten, mul, scalar, sign, sub, type Tensor, unflatten } from "../graph/index.ts";
import { branch, type Optimizer } from "./optimizer.ts";

export interface LionOptions {
  betas?: readonly [number, number];
  /** Acts on the weights themselves, as in AdamW. */
  weightDecay?: number;
  /** Which parameters decay; by default all. */
  decays?: (path: string, shape: readonly unknown[]) => boolean;
}

/** The betas of the paper's image models, its defaults; for language models it takes (0.95, 0.98). */
export const lionBetas = [0.9, 0.99] as const;

export const lion = ({
  betas: [b1, b2] = lionBetas,
  weightDecay = 0,
  decays = () => true,
}: LionOptions = {}): Optimizer => ({
  init: (params) => ({ m: params }),
  groupOf: (path, shape) => `decays ${decays(path, shape)}`,
  update(gradients, state, params, { learningRate, gradientScale = scalar(1) }) {
    const before = flatten(branch(state, "m"));
    const flat = flatten(gradients);
    const kept = sub(1, mul(learningRate, weightDecay));
    const next: Record<"p" | "m", Record<string, Tensor>> = { p: {}, m: {} };
    for (const [path, p] of Object.entries(flatten(params))) {
      const [g, m] = [flat[path] as Tensor, before[path] as Tensor];
      const direction = sign(add(mul(m, b1), mul(g, mul(gradientScale, 1 - b1))));
      const decayed = weightDecay > 0 && decays(path, p.shape) ? mul(p, kept) : p;
      next.p[path] = sub(decayed, mul(direction, learningRate));
      next.m[path] = add(mul(m, b2), mul(g, mul(gradientScale, 1 - b2)));
    }
    return { params: unflatten(next.p), state: { m: unflatten(next.m) } };
  },
});
