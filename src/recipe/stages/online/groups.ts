/** The stages `reinforce`, `rloo` and `grpo`: policy gradients without a critic. */
import { z } from "zod";
import { groupDefaults } from "../../../train/group-options.ts";
import { grpo, grpoDefaults, grpoLossTypes, grpoMethod } from "../../../train/grpo.ts";
import type { PolicyHooks, PolicyResult } from "../../../train/policy/run/iterations.ts";
import { reinforce, reinforceDefaults, reinforceMethod } from "../../../train/reinforce.ts";
import { rloo, rlooDefaults, rlooMethod } from "../../../train/rloo.ts";
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
  whole,
} from "../../keys.ts";
import { promptKeys, rewardKey } from "../../prompts.ts";
import { type StageKind, stageKind } from "../../stage.ts";
import { episodeKeys, runOnPrompts } from "../on-prompts.ts";

const d = groupDefaults;

/** Keys of all of them; `beta` differs in its default. */
const sharedKeys = ({ beta }: { readonly beta: number }) => ({
  model: modelKey(),
  ...refModelKeys,
  reward: rewardKey,
  ...promptKeys,
  max_completion_length: count("tokens of a response, at most", {
    default: d.maxCompletionLength,
    aliases: ["response_length"],
  }),
  temperature: positive("of sampling, and of every log-probability", { default: d.temperature }),
  missing_eos_penalty: fromZero("taken off the score of a response that does not end by itself"),
  beta: fromZero("weight of the KL to the reference; 0: no reference", { default: beta }),
  kl_bound: positive(
    "hard constraint: nats a token against the reference, at most; the policy is drawn back to it",
  ),
  entropy_coef: fromZero("weight of the entropy bonus", { default: d.entropyCoef }),
  ...episodeKeys(d),
  num_mini_batches: count("optimiser steps of a pass", { default: d.numMiniBatches }),
  int8_rollouts: flag("sample with 8-bit weights, corrected by the ratio", { default: d.int8Rollouts }),
  num_samples: whole("responses of each iteration in samples.jsonl", { default: d.numSamples }),
  ...optimizerKeys(d),
  ...runKeys(d),
  ...adapterKeys,
});

/** Those with a ratio and several passes. */
const ratioKeys = {
  num_iterations: count("passes over the responses of an iteration", { default: d.numIterations }),
  epsilon: positive("the ratio is clipped to 1 - epsilon and 1 + epsilon", { default: d.epsilon }),
  epsilon_high: positive("and upwards to 1 + this (cispo: its bound)"),
  target_kl: positive("ends the passes of an iteration early: nats a token, against the old policy"),
};

const shown = ["reward", "reward_std", "frac_reward_zero_std", "entropy", "completions/mean_length", "eps"];

function groupStage<S extends z.ZodRawShape>(
  name: string,
  description: string,
  keys: S,
  method: (options: never) => unknown,
  train: (options: never, hooks: PolicyHooks) => Promise<PolicyResult>,
): StageKind {
  return stageKind({
    name,
    description,
    keys: z.strictObject(keys) as unknown as z.ZodObject,
    required: ["model", "data", "reward"],
    models: ["model", "ref_model", "reward"],
    leavesModel: true,
    answers: true,
    shown,
    next: (output) =>
      `the policy is in ${output}/model; try: attune generate --model ${output} --prompt "..."`,
    check: (options) => void method(options as never),
    run: runOnPrompts({
      responseLength: (given) => (given.max_completion_length as number | undefined) ?? d.maxCompletionLength,
      train: train as never,
    }),
  });
}

export const reinforceStage = groupStage(
  "reinforce",
  "improve a model by the plain policy gradient (REINFORCE) against a reward",
  {
    ...sharedKeys(reinforceDefaults),
    baseline: choice(["batch", "none"], "what a reward is compared with", {
      default: reinforceDefaults.baseline,
    }),
  },
  reinforceMethod,
  reinforce,
);

export const rlooStage = groupStage(
  "rloo",
  "improve a model by REINFORCE with the other answers to a prompt as baseline (RLOO)",
  {
    ...sharedKeys(rlooDefaults),
    ...ratioKeys,
    num_generations: count("responses to each prompt", { default: rlooDefaults.numGenerations }),
    normalize_advantages: flag("advantages of a batch to mean 0 and deviation 1", {
      default: rlooDefaults.normalizeAdvantages,
    }),
  },
  rlooMethod,
  rloo,
);

export const grpoStage = groupStage(
  "grpo",
  "improve a model by group relative policy optimisation against a reward",
  {
    ...sharedKeys(d),
    ...ratioKeys,
    num_generations: count("responses to each prompt", { default: grpoDefaults.numGenerations }),
    loss_type: choice(grpoLossTypes, "how losses of tokens are averaged", { default: grpoDefaults.lossType }),
    importance_sampling_level: choice(["token", "sequence"], "over what a ratio is taken (sequence: GSPO)", {
      default: grpoDefaults.importanceSamplingLevel,
    }),
    use_bias_correction_kl: flag("the KL is weighted by the ratio, which makes its gradient the true one", {
      default: grpoDefaults.useBiasCorrectionKl,
    }),
    scale_rewards: choice(["group", "batch", "none"], "what advantages are divided by: a deviation", {
      default: grpoDefaults.scaleRewards,
    }),
  },
  grpoMethod,
  grpo,
);
