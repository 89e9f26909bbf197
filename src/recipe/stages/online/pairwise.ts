/** The stages `online-dpo` and `nash-md`: a policy learns from comparisons of its own responses. */
import { type NashMdOptions, nashMd, nashMdDefaults, nashMdSettings } from "../../../train/nash-md.ts";
import { onlineDpo, onlineDpoDefaults, onlineDpoSettings } from "../../../train/online-dpo.ts";
import { askingKeys, judgeKey } from "../../judges.ts";
import { choice, fromZero, positive, share } from "../../keys.ts";
import { onlineStage, optimizedKeys } from "./online-stage.ts";

/** A reward whose scores are compared, or a judge. */
const judgedKeys = (d: typeof onlineDpoDefaults | typeof nashMdDefaults) => ({
  ...optimizedKeys(d),
  judge: judgeKey,
  ...askingKeys,
});

export const onlineDpoStage = onlineStage({
  name: "online-dpo",
  description: "improve a model by DPO on pairs of its own answers, judged as they come",
  keys: {
    ...judgedKeys(onlineDpoDefaults),
    beta: positive("strength of the pull towards the reference", { default: onlineDpoDefaults.beta }),
    loss_type: choice(["sigmoid", "ipo"], "loss", { default: onlineDpoDefaults.lossType }),
    labels: choice(["best", "drawn"], "the better one is preferred, or drawn by sigmoid of the difference", {
      default: onlineDpoDefaults.labels,
    }),
  },
  shown: ["objective/scores", "rewards/accuracies", "objective/kl", "loss", "eps"],
  judged: true,
  check: (options) => void onlineDpoSettings(options as never),
  train: onlineDpo,
});

export const nashMdStage = onlineStage({
  name: "nash-md",
  description: "improve a model by play against a mixture of itself and the reference (Nash-MD)",
  keys: {
    ...judgedKeys(nashMdDefaults),
    beta: fromZero("weight of the KL", { default: nashMdDefaults.beta }),
    mixture_coef: share("the reference's share in the mixture", { default: nashMdDefaults.mixtureCoef }),
    kl_gradient: choice(["sequence", "token"], "unbiased, or as TRL has it", {
      default: nashMdDefaults.klGradient satisfies NonNullable<NashMdOptions["klGradient"]>,
    }),
  },
  shown: ["objective/scores", "rewards/probabilities", "objective/kl", "loss", "eps"],
  judged: true,
  check: (options) => void nashMdSettings(options as never),
  train: nashMd,
});
