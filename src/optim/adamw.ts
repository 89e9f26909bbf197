/**
 * Adam (Kingma and Ba 2015, algorithm 1) and AdamW (Loshchilov and Hutter 2019, algorithm 2).
 *
 *     m = b1 m + (1 - b1) g            v = b2 v + (1 - b2) g^2
 *     p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Epsilon stands where PyTorch puts it. TensorFlow leaves v uncorrected below the root, so that its epsilon
 * weighs 1 / sqrt(1 - b2^t) times as much, which matters in the first steps of PPO: `epsilonPlacement`.
 */
import {
  add,
  cast,
  div,
  flatten,
  mul,
  pow,
  scalar,
  sqrt,
  sub,
  type Tensor,
  unflatten,
} from "../graph/index.ts";
import { branch, type Optimizer } from "./optimizer.ts";

export interface AdamOptions {
  betas?: readonly [number, number];
  eps?: number;
  /** Added to the gradient as an L2 penalty (Adam), or taken off the weights (AdamW). */
  weightDecay?: number;
  /** Which parameters decay; by default all, as PyTorch does. `matricesOnly` is the usual mask. */
  decays?: (path: string, shape: readonly unknown[]) => boolean;
  epsilonPlacement?: "pytorch" | "tensorflow";
}

/** Decays matrices and embeddings, not biases and norms. */
export const matricesOnly = (_: string, shape: readonly unknown[]): boolean => shape.length > 1;

const build =
  (decoupled: boolean, weightDecayDefault: number) =>
  ({
    betas: [b1, b2] = [0.9, 0.999],
    eps = 1e-8,
    weightDecay = weightDecayDefault,
    decays = () => true,
    epsilonPlacement = "pytorch",
  }: AdamOptions = {}): Optimizer => ({
    init: (params) => ({ step: { dtype: "float32", shape: [] }, m: params, v: params }),
    groupOf: (path, shape) => `decays ${decays(path, shape)}`,
    update(gradients, state, params, { learningRate, gradientScale = scalar(1) }) {
      const t = add(state.step as Tensor, 1);
      // 1 - b^t in double precision: in single, 1 - 0.999 has lost three digits.
      const exponent = cast(t, "float64");
      const correction = (beta: number) => cast(sub(1, pow(scalar(beta, "float64"), exponent)), "float32");
      const root2 = sqrt(correction(b2));
      // lr m^ / (sqrt(v^) + eps) = (lr root2 / c1) m / (sqrt(v) + eps root2). Factors are joined while they are
      // scalars: what is left costs one pass over memory each.
      const rate = div(mul(learningRate, root2), correction(b1));
      const floor = epsilonPlacement === "pytorch" ? mul(root2, eps) : scalar(eps);
      const kept = sub(1, mul(learningRate, weightDecay));
      const flat = {
        p: flatten(params),
        g: flatten(gradients),
        m: flatten(branch(state, "m")),
        v: flatten(branch(state, "v")),
      };
      const next: Record<"m" | "v" | "p", Record<string, Tensor>> = { m: {}, v: {}, p: {} };
      for (const [path, p] of Object.entries(flat.p)) {
        const decay = weightDecay > 0 && decays(path, p.shape);
        const penalised = decay && !decoupled;
        const raw = flat.g[path] as Tensor;
        const g = penalised ? add(mul(raw, gradientScale), mul(p, weightDecay)) : raw;
        const scale = penalised ? scalar(1) : gradientScale;
        const m = add(mul(flat.m[path] as Tensor, b1), mul(g, mul(scale, 1 - b1)));
        const v = add(mul(flat.v[path] as Tensor, b2), mul(mul(g, mul(mul(scale, scale), 1 - b2)), g));
        next.m[path] = m;
        next.v[path] = v;
        next.p[path] = sub(decay && decoupled ? mul(p, kept) : p, mul(div(m, add(sqrt(v), floor)), rate));
      }
      return { params: unflatten(next.p), state: { step: t, m: unflatten(next.m), v: unflatten(next.v) } };
    },
  });

/** Adam; weight decay, 0 by default, is an L2 penalty. */
export const adam = build(false, 0);
/** AdamW; weight decay, 0.01 by default, acts on the weights themselves. */
export const adamw = build(true, 0.01);
