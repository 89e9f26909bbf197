/** The stage `ppo`: proximal policy optimisation against a reward, held near the reference by a KL penalty. */
import { z } from "zod";
import type { Model } from "../../models/load.ts";
import { parseReward } from "../../reward/spec.ts";
import { TrainError } from "../../train/errors.ts";
import { ppo } from "../../train/ppo.ts";
import { checkPpo, ppoDefaults as d } from "../../train/ppo-options.ts";
import {
  adapterKeys,
  choice,
  count,
  flag,
  fromZero,
  modelKey,
  optimizerKeys,
  positive,
  refModelKeys,
  runKeys,
  share,
  text,
  whole,
} from "../keys.ts";
import { promptKeys, rewardKey } from "../prompts.ts";
import { stageKind } from "../stage.ts";
import { episodeKeys, runOnPrompts } from "./on-prompts.ts";

export const ppoStage = stageKind({
  name: "ppo",
  description: "improve a model by proximal policy optimisation against a reward",
  keys: z.strictObject({
    model: modelKey(),
    ...refModelKeys,
    reward: rewardKey,
    ...promptKeys,
    response_length: count("tokens of a response, at most", { default: d.responseLength }),
    temperature: positive("of sampling, and of every log-probability", { default: d.temperature }),
    missing_eos_penalty: fromZero("taken off the score of a response that does not end by itself"),
    critic: text("where the critic starts: policy, reward, or a model", { default: d.critic }),
    shared_backbone: flag("the critic is a value head on the policy", { default: d.sharedBackbone }),
    critic_learning_rate: positive("of the critic (default: the policy's)"),
    ...episodeKeys(d),
    num_ppo_epochs: count("passes over the responses of an iteration", { default: d.numPpoEpochs }),
    num_mini_batches: count("optimiser steps of a pass", { default: d.numMiniBatches }),
    kl_coef: fromZero("beta, the strength of the KL penalty", { default: d.klCoef }),
    kl_estimator: choice(["k1", "k2", "k3", "exact"], "how the KL is estimated", { default: d.klEstimator }),
    kl_in: choice(["reward", "loss"], "where the penalty stands", { default: d.klIn }),
    kl_schedule: choice(["fixed", "linear", "cosine", "adaptive"], "how beta changes", {
      default: d.klSchedule,
    }),
    kl_coef_end: fromZero("the last beta of an annealed schedule", { default: d.klCoefEnd }),
    kl_target: positive("of adaptive: nats a response, against the reference", { default: d.klTarget }),
    kl_horizon: count("of adaptive: in responses", { default: d.klHorizon }),
    target_kl: positive("ends the passes of an iteration early: nats a token, against the old policy"),
    kl_bound: positive(
      "hard constraint: nats a token against the reference, at most; the policy is drawn back to it",
    ),
    cliprange: positive("of the probability ratio", { default: d.cliprange }),
    cliprange_value: positive("of the values", { default: d.cliprangeValue }),
    vf_coef: fromZero("weight of the value loss", { default: d.vfCoef }),
    entropy_coef: fromZero("weight of the entropy bonus", { default: d.entropyCoef }),
    gamma: share("discount", { default: d.gamma }),
    lam: share("lambda of generalised advantage estimation", { default: d.lam }),
    whiten_rewards: flag("divide the rewards by their deviation", { default: d.whitenRewards }),
    int8_rollouts: flag("sample with 8-bit weights, corrected by the ratio", { default: d.int8Rollouts }),
    epsilon_placement: choice(["pytorch", "tensorflow"], "where Adam's epsilon stands", {
      default: d.epsilonPlacement,
    }),
    num_samples: whole("responses of each iteration in samples.jsonl", { default: d.numSamples }),
    ...optimizerKeys(d),
    ...runKeys(d),
    ...adapterKeys,
  }),
  required: ["model", "data", "reward"],
  models: ["model", "ref_model", "reward", "critic"],
  leavesModel: true,
  answers: true,
  shown: ["objective/scores", "objective/kl", "objective/entropy", "policy/clipfrac_avg", "eps"],
  next: (output) => `the policy is in ${output}/model, its critic in ${output}/critic`,
  check(options) {
    if (options.critic === "reward") checkCritic(options.reward);
    checkPpo(options);
  },
  run: runOnPrompts({
    responseLength: (keys) => (keys.response_length as number | undefined) ?? d.responseLength,
    more: async ({ critic }, context, reward) =>
      critic === undefined ? {} : { critic: await criticFrom(critic as string, reward, context.model) },
    train: ppo as never,
  }),
});

/** @throws TrainError unless the reward is a model, by its folder, hub id or stage */
function checkCritic(reward: unknown): void {
  if (typeof reward !== "string" || parseReward(reward).kind !== "model")
    throw new TrainError(
      `critic: reward needs a reward model as the reward, got ${typeof reward === "string" ? reward : "several parts"}; name a model, or policy`,
    );
}

/** The critic's start: the policy, the reward model (when the reward is one), or a model by name. */
async function criticFrom(
  critic: string,
  reward: unknown,
  model: (reference: string) => Promise<Model>,
): Promise<"policy" | Model> {
  if (critic === "policy") return critic;
  if (critic !== "reward") return model(critic);
  checkCritic(reward);
  return model(reward as string);
}
