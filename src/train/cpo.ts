/**
 * Contrastive preference optimisation (Xu et al. 2024): DPO without its reference, which a term for the likelihood of
 * the chosen responses takes the place of.
 *
 *     L = 1/n sum loss(beta (r(chosen) - r(rejected))) + cpo_alpha NLL(chosen)      r(y) = log pi(y|x)      eq. 3, 7
 *
 * SimPO (Meng et al. 2024) is the row `simpo`: a reward a token, and a margin to be won by. AlphaPO (Gupta et al. 2025)
 * bends the reward, with p(y) = exp r(y):
 *
 *     r(y) = (1 - p(y)^-alpha) / alpha
 *
 * NLL is the mean over the tokens of the micro-batch, as in TRL.
 */
import {
  add,
  div,
  exp,
  maximum,
  minimum,
  mul,
  relu,
  square,
  sub,
  sum,
  type Tensor,
  type Tree,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { TrainError } from "./errors.ts";
import type { FitResult } from "./loop/fit.ts";
import type { Loss } from "./loop/step.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { openPairs, type PairHooks, type PairTrainerOptions, pairDefaults } from "./preference/pair-data.ts";
import { pairRun, responseLogProbs, sidesOf } from "./preference/preference-batch.ts";
import { meanNll, smoothed } from "./preference/preference-losses.ts";
import { rewardMetrics } from "./preference/reward-metrics.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";

export interface CpoLossOptions {
  readonly lossType: CpoLossName;
  /** Rewards are beta r(y). */
  readonly beta: number;
  /** Share of labels that are taken to be turned around; of `sigmoid` and `simpo`. */
  readonly labelSmoothing: number;
  /** Weight of the chosen responses' negative log-likelihood. */
  readonly cpoAlpha: number;
  /** Of `simpo`: how much more a chosen response should be worth, in units of beta r(y). */
  readonly simpoGamma: number;
  /** Of AlphaPO; 0 for log-probabilities as they are. */
  readonly alpha: number;
}

/** From r(chosen) - r(rejected) [B] to the loss of each pair; `ipo` and `simpo` have rewards a token. */
export const cpoLosses = {
  sigmoid: (d, { beta, labelSmoothing: e }) => smoothed(mul(d, beta), e),
  hinge: (d, { beta }) => relu(sub(1, mul(d, beta))),
  ipo: (d, { beta }) => square(sub(d, 1 / (2 * beta))),
  simpo: (d, { beta, simpoGamma, labelSmoothing: e }) => smoothed(sub(mul(d, beta), simpoGamma), e),
} satisfies Record<string, (d: Tensor, o: CpoLossOptions) => Tensor>;

export type CpoLossName = keyof typeof cpoLosses;
export const cpoLossNames = Object.keys(cpoLosses) as readonly CpoLossName[];
const perToken: readonly CpoLossName[] = ["ipo", "simpo"];
const smoothedNames: readonly CpoLossName[] = ["sigmoid", "simpo"];

export interface CpoOptions extends PairTrainerOptions, Partial<CpoLossOptions> {}

/** Defaults, as the help texts print them. */
export const cpoDefaults = {
  ...pairDefaults,
  lossType: "sigmoid",
  beta: 0.1,
  labelSmoothing: 0,
  cpoAlpha: 1,
  simpoGamma: 0.5,
  alpha: 0,
} as const satisfies Partial<CpoOptions>;

const largestExponent = 40;

/** Loss over a batch of `runSpec` and `num_items`, the pairs of the whole step. */
export const cpoLoss =
  (config: ModelConfig, o: CpoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const whole = sidesOf(responseLogProbs(config, params, batch));
    const lengths = sidesOf(batch.lengths as Tensor);
    const mean = (x: Tensor) => div(sum(x), batch.num_items as Tensor);
    const logp = (side: "chosen" | "rejected") =>
      perToken.includes(o.lossType) ? div(whole[side], maximum(lengths[side], 1)) : whole[side];
    const logps = { chosen: logp("chosen"), rejected: logp("rejected") };
    const reward = (r: Tensor) =>
      o.alpha === 0 ? r : div(sub(1, exp(minimum(mul(r, -o.alpha), largestExponent))), o.alpha);
    const [chosen, rejected] = [reward(logps.chosen), reward(logps.rejected)];
    const preference = mean(cpoLosses[o.lossType](sub(chosen, rejected), o));
    const nll = mean(meanNll(whole.chosen, lengths.chosen));
    return {
      loss: o.cpoAlpha > 0 ? add(preference, mul(nll, o.cpoAlpha)) : preference,
      metrics: {
        ...rewardMetrics({ chosen: mul(chosen, o.beta), rejected: mul(rejected, o.beta) }, logps, mean),
        ...(o.cpoAlpha > 0 && { nll_loss: nll }),
      },
    };
  };

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function cpoSettings(options: CpoOptions) {
  const o = withDefaults(cpoDefaults, options);
  checkCpo(o);
  return o;
}

/**
 * Trains a policy on preferences without a reference.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await cpo({ model: await loadModel("my-model"), data: "pairs.jsonl", cpoAlpha: 1 });
 */
export async function cpo(options: CpoOptions, listeners: PairHooks = {}): Promise<FitResult> {
  return trainCpo("cpo", cpoSettings(options), options, listeners);
}

/** Under the name of a trainer that is a form of CPO. */
export async function trainCpo(
  trainer: string,
  o: CpoOptions & CpoLossOptions & { readonly maxLength: number; readonly batchSize: number },
  given: CpoOptions,
  listeners: PairHooks,
): Promise<FitResult> {
  const { model, maxLength, train, held, hooks } = await openPairs(trainer, o, given, listeners);
  const { lossType, beta, labelSmoothing, cpoAlpha, simpoGamma, alpha } = o;
  return trainOnRuns(
    { train: train.pairs, held: held?.pairs },
    {
      model,
      loss: cpoLoss(model.config, o),
      runOf: pairRun,
      fingerprint: { maxLength, lossType, beta, labelSmoothing, cpoAlpha, simpoGamma, alpha },
    },
    o,
    hooks,
  );
}

export function checkCpo(o: CpoLossOptions): void {
  const fail = (text: string): never => {
    throw new TrainError(text);
  };
  if (!cpoLossNames.includes(o.lossType))
    fail(`loss_type: one of ${cpoLossNames.join(", ")} is required, got ${o.lossType}`);
  if (!(o.beta > 0)) fail(`beta: a number above 0 is required, got ${o.beta}`);
  if (!(o.labelSmoothing >= 0 && o.labelSmoothing < 0.5))
    fail(`label_smoothing: a share from 0 to below 0.5 is required, got ${o.labelSmoothing}`);
  if (o.labelSmoothing > 0 && !smoothedNames.includes(o.lossType))
    fail(`label_smoothing: ${o.lossType} has none; it belongs to ${smoothedNames.join(", ")}, leave it out`);
  if (!(o.cpoAlpha >= 0)) fail(`cpo_alpha: a number of at least 0 is required, got ${o.cpoAlpha}`);
}
