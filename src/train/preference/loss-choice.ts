/**
 * Which loss on pairs is meant: one row of the table, a weighted sum of several, or a function of the user's own; and
 * what it is made with.
 */
import { add, mul } from "../../graph/index.ts";
import { TrainError } from "../errors.ts";
import { type FDivergence, fDivergenceNames } from "./divergences.ts";
import {
  differenceLosses,
  type PreferenceLoss,
  type PreferenceLossName,
  preferenceLosses,
  preferenceLossNames,
  smoothedLosses,
  sortingLosses,
} from "./preference-losses.ts";

export interface LossChoice {
  /** A row of `preferenceLosses`, several of them, or a loss of one's own. */
  readonly lossType?: PreferenceLossName | readonly PreferenceLossName[] | PreferenceLoss;
  /** Weights of several; equal ones by default. What does not sum to 1 is scaled so that it does. */
  readonly lossWeights?: readonly number[];
  /** The pull towards the reference. */
  readonly beta?: number;
  /** Share of labels that are taken to be turned around. */
  readonly labelSmoothing?: number;
  /** The divergence from the reference. */
  readonly fDivergenceType?: FDivergence;
  /** Of `alpha_divergence`. */
  readonly fAlphaDivergenceCoef?: number;
  /** Of `discopop`: how sharply it changes from a logistic loss to an exponential one. */
  readonly discopopTau?: number;
  /**
   * LD-DPO (Liu et al. 2024): how much the tokens of a response count that stand beyond the length of the other one,
   * from 0 to 1; 1 by default.
   */
  readonly ldAlpha?: number;
  /** WPO (Zhou et al. 2024, eq. 2): pairs count by how likely the policy would draw their responses. */
  readonly useWeighting?: boolean;
}

export const lossDefaults = {
  lossType: "sigmoid",
  beta: 0.1,
  labelSmoothing: 0,
  fDivergenceType: "reverse_kl",
  fAlphaDivergenceCoef: 0.5,
  discopopTau: 0.05,
  useWeighting: false,
} as const satisfies LossChoice;

type Chosen = LossChoice & Required<Omit<LossChoice, "lossWeights" | "ldAlpha">>;

/**
 * The loss that the options name.
 *
 * @param onWarning gets a sentence when weights are scaled
 * @throws TrainError for names that are none, figures outside their range, and losses that cannot be had together with
 * another option
 */
export function lossOf(o: Chosen, onWarning: (text: string) => void = () => {}): PreferenceLoss {
  checkFigures(o);
  const { lossType } = o;
  if (typeof lossType === "function") return lossType;
  const names = typeof lossType === "string" ? [lossType] : lossType;
  checkNames(names, o);
  const weights = weightsOf(names, o.lossWeights, onWarning);
  return (terms) =>
    names
      .map((name, i) => {
        const loss = (preferenceLosses[name] as PreferenceLoss)(terms);
        return weights[i] === 1 ? loss : mul(loss, weights[i] as number);
      })
      .reduce((a, b) => add(a, b));
}

/** What tells one choice of a loss from another, for a run that goes on. */
export const lossFingerprint = (o: Chosen) => ({
  beta: o.beta,
  labelSmoothing: o.labelSmoothing,
  lossType: typeof o.lossType === "function" ? "own" : [o.lossType].flat().join(", "),
  lossWeights: (o.lossWeights ?? []).join(", "),
  fDivergenceType: o.fDivergenceType,
  fAlphaDivergenceCoef: o.fAlphaDivergenceCoef,
  discopopTau: o.discopopTau,
  ldAlpha: o.ldAlpha ?? 1,
  useWeighting: o.useWeighting,
});

function checkFigures(o: Chosen): void {
  const fail = (text: string): never => {
    throw new TrainError(text);
  };
  if (!(o.beta > 0 && Number.isFinite(o.beta)))
    fail(
      `beta: a number above 0 is required, got ${o.beta}; rewards are beta log(pi/ref), and ipo and sppo_hard divide by it`,
    );
  if (!(o.labelSmoothing >= 0 && o.labelSmoothing < 0.5))
    fail(`label_smoothing: a share from 0 to below 0.5 is required, got ${o.labelSmoothing}`);
  if (!(o.discopopTau > 0)) fail(`discopop_tau: a number above 0 is required, got ${o.discopopTau}`);
  if (o.ldAlpha !== undefined && !(o.ldAlpha >= 0 && o.ldAlpha <= 1))
    fail(`ld_alpha: a share from 0 to 1 is required, got ${o.ldAlpha}`);
  if (!fDivergenceNames.includes(o.fDivergenceType))
    fail(`f_divergence_type: one of ${fDivergenceNames.join(", ")} is required, got ${o.fDivergenceType}`);
}

function checkNames(names: readonly PreferenceLossName[], o: Chosen): void {
  const fail = (text: string): never => {
    throw new TrainError(text);
  };
  const unknown = names.find((name) => !preferenceLossNames.includes(name));
  if (unknown !== undefined || names.length === 0)
    fail(`loss_type: one of ${preferenceLossNames.join(", ")} is required, got ${unknown ?? "none"}`);
  if (new Set(names).size < names.length)
    fail(`loss_type: every loss once is required, got ${names.join(", ")}; give it one weight`);
  if (o.labelSmoothing > 0 && !names.some((name) => smoothedLosses.includes(name)))
    fail(
      `label_smoothing: ${names.join(", ")} has none; it belongs to ${smoothedLosses.join(", ")}, leave it out`,
    );
  if (o.labelSmoothing === 0 && names.includes("exo_pair"))
    fail("label_smoothing: exo_pair takes its logarithm, a share above 0 is required, got 0; try 0.001");
  const other = names.find((name) => !differenceLosses.includes(name));
  if (o.fDivergenceType !== "reverse_kl" && other !== undefined)
    fail(
      `f_divergence_type: ${other} has no form for ${o.fDivergenceType}; choose among ${differenceLosses.join(", ")}, or reverse_kl`,
    );
  const sorting = names.find((name) => sortingLosses.includes(name));
  if (o.useWeighting && sorting !== undefined)
    fail(`use_weighting: ${sorting} sorts the pairs, so that they have no weights; leave it out`);
}

function weightsOf(
  names: readonly string[],
  given: readonly number[] | undefined,
  onWarning: (text: string) => void,
): number[] {
  const shares = names.map(() => 1 / names.length);
  if (given === undefined) return shares;
  const sum = given.reduce((a, b) => a + b, 0);
  if (given.length !== names.length || given.some((weight) => !(weight >= 0)) || !(sum > 0))
    throw new TrainError(
      `loss_weights: ${names.length} numbers of at least 0, not all 0, are required for ${names.join(", ")}, got ${given.join(", ") || "none"}`,
    );
  if (Math.abs(sum - 1) < 1e-6) return [...given];
  const scaled = given.map((weight) => weight / sum);
  onWarning(
    `loss_weights: ${given.join(", ")} sum to ${Number(sum.toPrecision(6))}, not to 1; ${scaled.map((weight) => Number(weight.toPrecision(4))).join(", ")} are used`,
  );
  return scaled;
}
