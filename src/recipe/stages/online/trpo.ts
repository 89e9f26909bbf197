/** The stage `trpo`: natural gradient steps within a trust region. */

import { scheduleNames } from "../../../optim/schedules.ts";
import { trpoDefaults as d, trpo, trpoSettings } from "../../../train/trpo.ts";
import { choice, count, fromZero, positive, share, whole } from "../../keys.ts";
import { iterationKeys, onlineStage } from "./online-stage.ts";

export const trpoStage = onlineStage({
  name: "trpo",
  description: "improve a model by trust region policy optimisation against a reward",
  keys: {
    ...iterationKeys(d),
    num_generations: count("responses to each prompt", { default: d.numGenerations }),
    kl_coef: fromZero("beta, what the KL to the reference costs in the reward", { default: d.klCoef }),
    max_kl: positive("delta, nats a token against the policy before a step", { default: d.maxKl }),
    lr_scheduler_type: choice(scheduleNames as [string, ...string[]], "the course of max_kl", {
      default: d.lrSchedulerType,
    }),
    warmup_steps: whole("steps in which max_kl rises from 0", { default: 0 }),
    warmup_ratio: share("the same as a share of all steps"),
    cg_iterations: count("iterations of conjugate gradients", { default: d.cgIterations }),
    damping: fromZero("added to the diagonal of the Fisher matrix", { default: d.damping }),
    backtrack_iterations: count("step lengths that are tried", { default: d.backtrackIterations }),
    backtrack_coef: share("each is the one before times this", { default: d.backtrackCoef }),
    seed: whole("of everything that is drawn (default: the recipe's)", { default: d.seed }),
  },
  shown: ["objective/scores", "objective/kl", "policy/kl_step", "policy/step_fraction", "eps"],
  check: (options) => void trpoSettings(options as never),
  train: trpo,
});
