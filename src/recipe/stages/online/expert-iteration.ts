/** The stage `expert-iteration`: a policy learns from the best of its own responses. */
import {
  checkExpertIteration,
  expertIterationDefaults as d,
  expertIteration,
} from "../../../train/expert-iteration.ts";
import { selections } from "../../../train/online/selection.ts";
import { choice, count, flag, number, positive } from "../../keys.ts";
import { onlineStage, optimizedKeys } from "./online-stage.ts";

export const expertIterationStage = onlineStage({
  name: "expert-iteration",
  description: "improve a model by the best of its own answers (RAFT, STaR, rejection sampling)",
  keys: {
    ...optimizedKeys(d),
    num_generations: count("responses to each prompt", { default: d.numGenerations }),
    selection: choice(selections, "which responses are learned from", { default: d.selection }),
    top_k: count("of top_k: responses that are kept of each group", { default: d.topK }),
    threshold: number("of threshold: the score that a response needs", { default: d.threshold }),
    beta: positive("of rejection: a response is kept with probability exp((r - best) / beta)", {
      default: d.beta,
    }),
    sample_from: choice(["policy", "reference"], "whom responses are sampled from", {
      default: d.sampleFrom,
    }),
    inner_epochs: count("passes over what an iteration keeps", { default: d.innerEpochs }),
    terminated_only: flag("leave out responses that did not end by themselves", {
      default: d.terminatedOnly,
    }),
  },
  shown: ["objective/scores", "objective/scores_kept", "selection/kept", "objective/kl", "loss"],
  check: checkExpertIteration,
  train: expertIteration,
});
