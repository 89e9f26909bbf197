/**
 * Direct preference optimisation (Rafailov et al. 2023): a policy learns from pairs without a reward model.
 *
 *     L = - 1/n sum log sigmoid(beta (log pi/ref (chosen) - log pi/ref (rejected)))            eq. 7
 *
 * The reference is asked once, before training; other losses on pairs are rows of preference-losses.ts.
 */
import { type DpoOptions, dpoDefaults } from "./dpo-options.ts";
import type { FitResult } from "./loop/fit.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { dpoLoss } from "./preference/dpo-loss.ts";
import { lossFingerprint, lossOf } from "./preference/loss-choice.ts";
import { openPairs, type PairHooks } from "./preference/pair-data.ts";
import { pairRun } from "./preference/preference-batch.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";
import { watchCollapse } from "./preference/watch-collapse.ts";

/**
 * Trains a policy on preferences.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await dpo({ model: await loadModel("my-model"), data: "pairs.jsonl", beta: 0.1 });
 */
export async function dpo(options: DpoOptions, listeners: PairHooks = {}): Promise<FitResult> {
  const o = withDefaults(dpoDefaults, options);
  const loss = lossOf(o, listeners.onWarning);
  const { model, maxLength, train, held, hooks } = await openPairs("dpo", o, options, listeners);
  return trainOnRuns(
    { train: train.pairs, held: held?.pairs },
    {
      model,
      refModel: o.refModel ?? model,
      loss: dpoLoss(model.config, { ...o, loss }),
      runOf: pairRun,
      batches: { ldAlpha: o.ldAlpha },
      fingerprint: { maxLength, ...lossFingerprint(o), rpoAlpha: o.rpoAlpha ?? 0 },
      watch: watchCollapse(o.beta),
    },
    o,
    hooks,
  );
}
