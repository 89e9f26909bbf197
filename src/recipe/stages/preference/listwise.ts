/** The stage `listwise`: direct preference optimisation on ranked lists, by Plackett and Luce. */
import { z } from "zod";
import { rankingPreflight } from "../../../data/preflight.ts";
import { listwiseDefaults as d, listwise } from "../../../train/listwise.ts";
import { positive, refModelKeys } from "../../keys.ts";
import { stageKind } from "../../stage.ts";
import { nextOf, preferenceKeys } from "./keys.ts";
import { runOnData } from "./run-on-data.ts";

export const listwiseStage = stageKind({
  name: "listwise",
  description: "improve a model by direct preference optimisation on ranked lists (Plackett-Luce)",
  keys: z.strictObject({
    ...preferenceKeys.before,
    ...refModelKeys,
    beta: positive("strength of the pull towards the reference", { default: d.beta }),
    ...preferenceKeys.after(d),
  }),
  required: ["model", "data"],
  models: ["model", "ref_model"],
  leavesModel: true,
  answers: true,
  shown: ["loss", "rewards/accuracies", "rewards/margins", "eval_loss"],
  next: nextOf,
  run: runOnData(listwise, rankingPreflight),
});
