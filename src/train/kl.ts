/**
 * The KL divergence between a policy and its reference: estimators from sampled tokens (Schulman 2020), the exact
 * value over the vocabulary, and the coefficient beta that weighs it.
 *
 *     r = log pi(a) - log pi_ref(a),  a drawn from pi        KL(pi || pi_ref) = E[r]
 *     k1 = r             unbiased; negative on about half of the samples
 *     k2 = r^2 / 2       biased, never negative; its gradient is that of the KL when pi = pi_ref
 *     k3 = e^-r - 1 + r  unbiased, never negative
 *
 * All are nats per token; summed over a response they are nats per response, which is what adaptive coefficients aim at.
 */
import { add, exp, logSoftmax, mul, neg, square, sub, sum, type Tensor } from "../graph/index.ts";
import { TrainError } from "./errors.ts";

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

/**
 * The same inside a graph, for a KL term in a loss. k1 has no row: the gradient of E[r] for fixed samples is the mean
 * of grad log pi, which is zero in expectation whatever the reference is.
 */
export const klTerms = {
  k2: (logRatio) => mul(square(logRatio), 0.5),
  k3: (logRatio) => add(sub(exp(neg(logRatio)), 1), logRatio),
} satisfies Record<string, (logRatio: Tensor) => Tensor>;

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

export interface KlControl {
  /** How the coefficient changes from iteration to iteration. */
  readonly klSchedule: keyof typeof klSchedules;
  /** The coefficient at the start. */
  readonly klCoef: number;
  /** Of `linear` and `cosine`: the coefficient of the last iteration. */
  readonly klCoefEnd: number;
  /** Of `adaptive`: the KL to hold, in nats per response, against the reference. */
  readonly klTarget: number;
  /** Of `adaptive`: responses over which a full error multiplies the coefficient by e^0.2. */
  readonly klHorizon: number;
}

/** What an iteration found, for the coefficient of the next one. */
export interface KlReading {
  /** Iterations that are done. */
  readonly step: number;
  readonly totalSteps: number;
  /** Against the reference, in nats per response. */
  readonly kl: number;
  readonly responses: number;
}

type KlSchedule = (coefficient: number, control: KlControl, reading: KlReading) => number;

const along = ({ step, totalSteps }: KlReading): number => Math.min(1, step / Math.max(1, totalSteps - 1));

/**
 * The next coefficient. Fixed; annealed from `klCoef` to `klCoefEnd`; or the controller of Ziegler et al. 2019,
 *
 *     e = clip(KL / target - 1, -0.2, 0.2)        beta <- beta (1 + e n / horizon)
 */
export const klSchedules = {
  fixed: (coefficient) => coefficient,
  linear: (_, { klCoef, klCoefEnd }, reading) => klCoef + (klCoefEnd - klCoef) * along(reading),
  cosine: (_, { klCoef, klCoefEnd }, reading) =>
    klCoefEnd + (klCoef - klCoefEnd) * 0.5 * (1 + Math.cos(Math.PI * along(reading))),
  adaptive: (coefficient, { klTarget, klHorizon }, { kl, responses }) => {
    const error = Math.max(-0.2, Math.min(0.2, kl / klTarget - 1));
    return coefficient * (1 + (error * responses) / klHorizon);
  },
} satisfies Record<string, KlSchedule>;

/** The coefficient after an iteration. */
export const nextKlCoef = (coefficient: number, control: KlControl, reading: KlReading): number =>
  (klSchedules[control.klSchedule] as KlSchedule)(coefficient, control, reading);

/** @throws TrainError for coefficients and targets that cannot be meant */
export function checkKlControl({ klSchedule, klCoef, klCoefEnd, klTarget, klHorizon }: KlControl): void {
  const fail = (message: string): never => {
    throw new TrainError(message);
  };
  if (!(klCoef >= 0)) fail(`kl_coef: at least 0 is required, got ${klCoef}`);
  if (!(klCoefEnd >= 0)) fail(`kl_coef_end: at least 0 is required, got ${klCoefEnd}`);
  if (klSchedule !== "adaptive") return;
  if (!(klTarget > 0)) fail(`kl_target: nats per response above 0 are required, got ${klTarget}`);
  if (!(klHorizon > 0)) fail(`kl_horizon: responses above 0 are required, got ${klHorizon}`);
  if (klCoef === 0) fail("kl_coef: an adaptive coefficient multiplies, so it cannot start at 0; try 0.15");
}
