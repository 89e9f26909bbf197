/** What stages of methods on own samples share: their keys, and how one is run. */
import { z } from "zod";
import type { iterationDefaults, PolicyHooks, PolicyResult } from "../../../train/policy/run/iterations.ts";
import {
  adapterKeys,
  count,
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
import { runOnPrompts } from "../on-prompts.ts";

type Defaults = { readonly [K in keyof typeof iterationDefaults]: string | number | boolean };

/** Keys of every method that samples. */
export const iterationKeys = (d: Defaults) => ({
  model: modelKey(),
  ...refModelKeys,
  reward: rewardKey,
  ...promptKeys,
  prompts_per_step: count("prompts of an iteration", { default: d.promptsPerStep }),
  response_length: count("tokens of a response, at most", { default: d.responseLength }),
  temperature: positive("of sampling, and of every log-probability", { default: d.temperature }),
  missing_eos_penalty: fromZero("taken off the score of a response that does not end by itself"),
  per_device_train_batch_size: count("rows of a micro-batch", {
    default: d.batchSize,
    aliases: ["batch_size"],
  }),
  num_train_epochs: positive("times that the prompts are seen", {
    default: d.numEpochs,
    aliases: ["num_epochs"],
  }),
  max_steps: count("iterations; wins over num_train_epochs"),
  num_samples: whole("responses of each iteration in samples.jsonl", { default: d.numSamples }),
  ...runKeys(d),
  ...adapterKeys,
});

/** And of those that learn by an optimiser. */
export const optimizedKeys = (d: Defaults) => ({
  ...iterationKeys(d),
  ...optimizerKeys(d),
  gradient_accumulation_steps: count("micro-batches of an update", {
    default: d.gradientAccumulation,
    aliases: ["gradient_accumulation"],
  }),
});

interface OnlineStage<S extends z.ZodRawShape> {
  readonly name: string;
  readonly description: string;
  readonly keys: S;
  readonly shown: readonly string[];
  /** Whether a judge may stand in the place of the reward. */
  readonly judged?: boolean;
  readonly check: NonNullable<StageKind["check"]>;
  train(options: never, hooks: PolicyHooks): Promise<PolicyResult>;
}

/** The kind of stage of a method. */
export const onlineStage = <S extends z.ZodRawShape>({
  name,
  description,
  keys,
  shown,
  judged = false,
  check,
  train,
}: OnlineStage<S>): StageKind =>
  stageKind({
    name,
    description,
    keys: z.strictObject(keys) as unknown as z.ZodObject,
    required: ["model", "data", ...(judged ? [] : ["reward"])],
    ...(judged && { oneOf: ["reward", "judge"] }),
    models: ["model", "ref_model", "reward", ...(judged ? ["judge"] : [])],
    leavesModel: true,
    answers: true,
    shown,
    next: (output) =>
      `the policy is in ${output}/model; try: attune generate --model ${output} --prompt "..."`,
    check,
    run: runOnPrompts({
      responseLength: (given) => (given.response_length as number | undefined) ?? defaultLength(keys),
      train: train as never,
    }),
  });

const defaultLength = (keys: z.ZodRawShape): number =>
  (keys.response_length as z.ZodType).meta()?.default as number;
