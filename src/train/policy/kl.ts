/**
 * The KL penalty: its terms inside of a loss, and the coefficient beta that weighs it. The estimators are those of
 * src/evaluate/kl.ts; all are nats per token; summed over a response they are nats per response, which is what adaptive
 * coefficients aim at.
 */
import { add, exp, mul, neg, square, sub, type Tensor } from "../../graph/index.ts";
import { TrainError } from "../errors.ts";

export { entropyOf, exactKl, type KlEstimator, klEstimators, type SampledKl } from "../../evaluate/kl.ts";

/**
 * The same inside a graph, for a KL term in a loss. k1 has no row: the gradient of E[r] for fixed samples is the mean
 * of grad log pi, which is zero in expectation whatever the reference is.
 */
export const klTerms = {
  k2: (logRatio) => mul(square(logRatio), 0.5),
  k3: (logRatio) => add(sub(exp(neg(logRatio)), 1), logRatio),
} satisfies Record<string, (logRatio: Tensor) => Tensor>;

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
