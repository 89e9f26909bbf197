/**
 * Simple preference optimisation (Meng et al. 2024): no reference, a reward a token, and a margin to be won by.
 *
 *     L = - 1/n sum log sigmoid(beta (log pi(chosen) / |chosen| - log pi(rejected) / |rejected|) - gamma)      eq. 6
 *
 * It is CPO with loss_type simpo and cpo_alpha 0, under the paper's settings: beta 2 and gamma half of it.
 */
import { type CpoLossOptions, checkCpo, cpoDefaults, trainCpo } from "./cpo.ts";
import type { FitResult } from "./loop/fit.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import type { PairHooks, PairTrainerOptions } from "./preference/pair-data.ts";

export interface SimpoOptions
  extends PairTrainerOptions,
    Partial<Pick<CpoLossOptions, "beta" | "simpoGamma" | "labelSmoothing" | "alpha" | "cpoAlpha">> {}

/** Defaults, as the help texts print them. */
export const simpoDefaults = {
  ...cpoDefaults,
  beta: 2,
  simpoGamma: 1,
  cpoAlpha: 0,
} as const satisfies Partial<SimpoOptions>;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function simpoSettings(options: SimpoOptions) {
  const o = { ...withDefaults(simpoDefaults, options), lossType: "simpo" } as const;
  checkCpo(o);
  return o;
}

/**
 * Trains a policy on preferences without a reference.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await simpo({ model: await loadModel("my-model"), data: "pairs.jsonl" });
 */
export async function simpo(options: SimpoOptions, listeners: PairHooks = {}): Promise<FitResult> {
  return trainCpo("simpo", simpoSettings(options), options, listeners);
}
