/**
 * Direct preference optimisation (Rafailov et al. 2023): a policy learns from pairs without a reward model.
 *
 *     L = - 1/n sum log sigmoid(beta (log pi/ref (chosen) - log pi/ref (rejected)))            eq. 7
 *
 * The reference is asked once, before training; other losses on pairs are rows of preference-losses.ts.
 */
import { mapped } from "../data/list.ts";
import { type DpoOptions, dpoDefaults } from "./dpo-options.ts";
import { TrainError } from "./errors.ts";
import { type Condition, refuseIdle } from "./idle-options.ts";
import type { FitResult } from "./loop/fit.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { adaptiveBeta, type adaptiveDefaults, checkAdaptive } from "./preference/adaptive-beta.ts";
import { dpoLoss } from "./preference/dpo-loss.ts";
import { lossFingerprint, lossOf } from "./preference/loss-choice.ts";
import { openPairs, type PairHooks } from "./preference/pair-data.ts";
import { pairRun } from "./preference/preference-batch.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";
import { watchCollapse } from "./preference/watch-collapse.ts";

const pickAdaptive = ({
  betaMin,
  betaMax,
  klSteps,
  klPrompts,
}: Record<keyof typeof adaptiveDefaults, number>) => ({
  ...{ betaMin, betaMax, klSteps, klPrompts },
});

/**
 * The options over their defaults, checked, and the loss that they name.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function dpoSettings(options: DpoOptions, onWarning?: (text: string) => void) {
  const o = withDefaults(dpoDefaults, options);
  const loss = lossOf(o, onWarning);
  const { targetKl } = o;
  if (targetKl !== undefined) checkAdaptive({ ...o, targetKl });
  if (o.referenceFree && o.refModel)
    throw new TrainError("ref_model: reference_free leaves the reference out; leave out one of them");
  return { o, loss };
}

const conditions: readonly Condition<DpoOptions>[] = [
  {
    names: ["betaMin", "betaMax", "klSteps", "klPrompts"],
    holds: (o) => o.targetKl !== undefined,
    needs: "target_kl",
  },
  {
    names: ["fAlphaDivergenceCoef"],
    holds: (o) => o.fDivergenceType === "alpha_divergence",
    needs: "f_divergence_type alpha_divergence",
  },
  {
    names: ["discopopTau"],
    holds: ({ lossType }) => [lossType].flat().includes("discopop"),
    needs: "loss_type discopop",
  },
  {
    names: ["lossWeights"],
    holds: ({ lossType }) => [lossType].flat().length > 1,
    needs: "a loss_type of several",
  },
];

/**
 * Refuses what `dpoSettings` does, and options that were given and would do nothing.
 *
 * @throws TrainError with the option and what it needs
 */
export function checkDpo(options: Partial<DpoOptions>): void {
  refuseIdle(options, conditions);
  dpoSettings(options as DpoOptions);
}

/**
 * Trains a policy on preferences.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await dpo({ model: await loadModel("my-model"), data: "pairs.jsonl", beta: 0.1 });
 */
export async function dpo(options: DpoOptions, listeners: PairHooks = {}): Promise<FitResult> {
  const { o, loss } = dpoSettings(options, listeners.onWarning);
  const { targetKl } = o;
  const { model, maxLength, train, held, hooks } = await openPairs("dpo", o, options, listeners);
  const refModel = o.referenceFree ? undefined : (o.refModel ?? model);
  const dials =
    targetKl === undefined || !refModel
      ? undefined
      : adaptiveBeta(
          { ...o, targetKl },
          { refModel, runs: mapped(train.pairs, pairRun), seed: o.seed, onWarning: hooks.onWarning },
        );
  return trainOnRuns(
    { train: train.pairs, held: held?.pairs },
    {
      model,
      refModel,
      loss: dpoLoss(model.config, { ...o, loss }),
      runOf: pairRun,
      batches: { ldAlpha: o.ldAlpha },
      dials,
      fingerprint: {
        maxLength,
        ...lossFingerprint(o),
        rpoAlpha: o.rpoAlpha ?? 0,
        referenceFree: o.referenceFree,
        ...(targetKl !== undefined && { targetKl, ...pickAdaptive(o) }),
      },
      // Without a reference there is nothing that log-probabilities fell from.
      ...(refModel && { watch: watchCollapse(o.beta) }),
    },
    o,
    hooks,
  );
}
