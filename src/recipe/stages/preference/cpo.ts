/** The stages `cpo` and `simpo`: contrastive preference optimisation, and its form with a reward a token. */
import { z } from "zod";
import { cpo, cpoDefaults, cpoLossNames, cpoSettings } from "../../../train/cpo.ts";
import { simpo, simpoDefaults, simpoSettings } from "../../../train/simpo.ts";
import { choice, fromZero, number, positive, share } from "../../keys.ts";
import { type StageKind, stageKind } from "../../stage.ts";
import { nextOf, preferenceKeys } from "./keys.ts";
import { runPairs } from "./run-on-data.ts";

type Settings = Record<"beta" | "labelSmoothing" | "cpoAlpha" | "simpoGamma" | "alpha", number>;

const rewardKeys = (d: Settings) => ({
  beta: positive("rewards are beta log pi", { default: d.beta }),
  label_smoothing: share("share of labels taken to be turned around", { default: d.labelSmoothing }),
  cpo_alpha: fromZero("weight of the chosen answers' negative log-likelihood", { default: d.cpoAlpha }),
  simpo_gamma: number("of simpo: how much more a chosen answer's reward should be", {
    default: d.simpoGamma,
  }),
  alpha: number("AlphaPO: rewards are (1 - p^-alpha) / alpha; 0: log p", { default: d.alpha }),
});

const common = {
  required: ["model", "data"],
  models: ["model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/accuracies", "rewards/margins", "eval_loss"],
  next: nextOf,
} satisfies Partial<StageKind>;

export const cpoStage = stageKind({
  name: "cpo",
  description: "improve a model by contrastive preference optimisation on pairs, without a reference",
  keys: z.strictObject({
    ...preferenceKeys.before,
    loss_type: choice(cpoLossNames as unknown as [string], "the preference loss", {
      default: cpoDefaults.lossType,
    }),
    ...rewardKeys(cpoDefaults),
    ...preferenceKeys.after(cpoDefaults),
  }),
  ...common,
  check: (options) => void cpoSettings(options as never),
  run: runPairs(cpo),
});

export const simpoStage = stageKind({
  name: "simpo",
  description: "improve a model by simple preference optimisation on pairs: rewards a token, no reference",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...rewardKeys(simpoDefaults),
    ...preferenceKeys.after(simpoDefaults),
  }),
  ...common,
  check: (options) => void simpoSettings(options as never),
  run: runPairs(simpo),
});
