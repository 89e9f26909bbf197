/**
 * The KL divergence between two models: estimators from sampled tokens (Schulman 2020), and the exact value over the
 * vocabulary.
 *
 *     r = log pi(a) - log pi_ref(a),  a drawn from pi        KL(pi || pi_ref) = E[r]
 *     k1 = r             unbiased; negative on about half of the samples
 *     k2 = r^2 / 2       biased, never negative; its gradient is that of the KL when pi = pi_ref
 *     k3 = e^-r - 1 + r  unbiased, never negative
 *
 * All are nats per token; summed over a response they are nats per response.
 */
import { exp, logSoftmax, mul, neg, sub, sum, type Tensor } from "../graph/index.ts";

/** An estimate in nats per token from the log ratio log pi - log pi_ref of the sampled token. */
export const klEstimators = {
  k1: (logRatio) => logRatio,
  k2: (logRatio) => logRatio ** 2 / 2,
  // expm1 keeps the digits that exp(-r) - 1 would lose near 0, so that the estimate never turns negative.
  k3: (logRatio) => Math.max(0, Math.expm1(-logRatio) + logRatio),
} satisfies Record<string, (logRatio: number) => number>;

export type SampledKl = keyof typeof klEstimators;
/** `exact` is the sum over the vocabulary at each position, which costs a pass of the policy. */
export type KlEstimator = SampledKl | "exact";

type Logged = Readonly<Record<string, unknown>>;

const numberAt = (metrics: Logged, name: string): number | undefined => {
  const value = metrics[name];
  return typeof value === "number" ? value : undefined;
};

/** A figure of a step in nats summed over a response: under `whole` it is that, under `each` it is nats per token. */
function perResponse(metrics: Logged, whole: string, each: string): number | undefined {
  const tokens = numberAt(metrics, "completions/mean_length");
  const perToken = numberAt(metrics, each);
  return (
    numberAt(metrics, whole) ??
    (perToken === undefined || tokens === undefined ? undefined : perToken * tokens)
  );
}

/**
 * The KL to the reference that a trainer logged at a step, in nats summed over a response, whichever of TRL's names and
 * units it has: `objective/kl` of PPO is that already, `kl` of GRPO and RLOO is a mean over tokens.
 */
export const loggedKl = (metrics: Logged): number | undefined => perResponse(metrics, "objective/kl", "kl");

/** The same of -log pi of the sampled tokens: `objective/entropy`, or `entropy`. */
export const loggedEntropy = (metrics: Logged): number | undefined =>
  perResponse(metrics, "objective/entropy", "entropy");

/** KL(p || q) in nats for rows of logits [N, V] each; [N]. */
export function exactKl(p: Tensor, q: Tensor): Tensor {
  const [a, b] = [logSoftmax(p), logSoftmax(q)];
  return sum(mul(exp(a), sub(a, b)), -1);
}

/** Entropy in nats for rows of logits [N, V]; [N]. */
export function entropyOf(logits: Tensor): Tensor {
  const logProbs = logSoftmax(logits);
  return neg(sum(mul(exp(logProbs), logProbs), -1));
}
