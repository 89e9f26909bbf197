/** The stage `orpo`: demonstrations and comparisons at once, by the ratio of odds (Hong et al. 2024). */
import { z } from "zod";
import { orpoDefaults as d, orpo } from "../../../train/orpo.ts";
import { fromZero } from "../../keys.ts";
import { stageKind } from "../../stage.ts";
import { nextOf, preferenceKeys } from "./keys.ts";
import { runPairs } from "./run-on-data.ts";

export const orpoStage = stageKind({
  name: "orpo",
  description: "fine-tune a model on the chosen answers of pairs, with odds against the rejected ones",
  keys: z.strictObject({
    ...preferenceKeys.before,
    beta: fromZero("weight of the odds ratio", { default: d.beta }),
    ...preferenceKeys.after(d),
  }),
  required: ["model", "data"],
  models: ["model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/accuracies", "nll_loss", "eval_loss"],
  next: nextOf,
  run: runPairs(orpo),
});
