/** The stage `dpo`: direct preference optimisation on pairs (Rafailov et al. 2023). */
import { z } from "zod";
import { checkDpo, dpo } from "../../../train/dpo.ts";
import { dpoDefaults as d } from "../../../train/dpo-options.ts";
import { fDivergenceNames } from "../../../train/preference/divergences.ts";
import { preferenceLossNames } from "../../../train/preference/preference-losses.ts";
import {
  choice,
  choices,
  count,
  flag,
  fromZero,
  number,
  numbers,
  positive,
  refModelKeys,
  share,
} from "../../keys.ts";
import { stageKind } from "../../stage.ts";
import { nextOf, preferenceKeys } from "./keys.ts";
import { runPairs } from "./run-on-data.ts";

const lossKeys = {
  loss_type: choices(
    preferenceLossNames as unknown as [string],
    `the preference loss, or several: ${preferenceLossNames.join(", ")}`,
    { default: d.lossType },
  ),
  loss_weights: numbers("weights of several losses, which sum to 1 (default: equal ones)"),
  beta: positive("strength of the pull towards the reference", { default: d.beta }),
  label_smoothing: share("share of labels taken to be turned around", { default: d.labelSmoothing }),
  f_divergence_type: choice(
    fDivergenceNames as unknown as [string],
    "the divergence that holds the policy near the reference",
    { default: d.fDivergenceType },
  ),
  f_alpha_divergence_coef: number("alpha of alpha_divergence", { default: d.fAlphaDivergenceCoef }),
  discopop_tau: positive("of discopop: how sharply it turns from one loss to the other", {
    default: d.discopopTau,
  }),
  ld_alpha: share("LD-DPO: what a token counts beyond the other response's length (default: 1)"),
  use_weighting: flag("WPO: pairs count by how likely the policy would draw them", {
    default: d.useWeighting,
  }),
};

export const dpoStage = stageKind({
  name: "dpo",
  description: "improve a model by direct preference optimisation on pairs",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKeys,
    ...lossKeys,
    reference_free: flag("log-probabilities in place of log-ratios: no reference", {
      default: d.referenceFree,
    }),
    target_kl: positive("turn beta so that the KL to the reference is this, in nats a response"),
    beta_min: positive("beta is never turned below", { default: d.betaMin }),
    beta_max: positive("nor above", { default: d.betaMax }),
    kl_steps: count("steps between two measurements of the KL", { default: d.klSteps }),
    kl_prompts: count("prompts that are answered for one", { default: d.klPrompts }),
    rpo_alpha: fromZero("weight of the chosen answers' negative log-likelihood (default: none)"),
    ...preferenceKeys.after(d),
  }),
  required: ["model", "data"],
  models: ["model", "ref_model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/accuracies", "rewards/margins", "eval_loss"],
  next: nextOf,
  check: checkDpo,
  run: runPairs(dpo),
});
