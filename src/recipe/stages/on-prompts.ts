/** What stages share that improve a policy on prompts against a reward: keys, and how prompts, reward and reference are opened. */
import { promptPreflight } from "../../data/preflight.ts";
import type { Model } from "../../models/load.ts";
import type { Course, TrainerHooks } from "../../train/loop/trainer-options.ts";
import { judgeOf, withoutAsking } from "../judges.ts";
import { count, positive } from "../keys.ts";
import { promptsOf, withoutReading } from "../prompts.ts";
import type { StageContext, StageKeys, StageResult } from "../stage.ts";
import { trainingHooks, trainingOptions } from "../training.ts";

/** How many responses an iteration has and how many iterations there are, where a batch counts responses. */
export const episodeKeys = (d: { readonly batchSize: number; readonly numEpochs: number }) => ({
  total_episodes: count("responses in all (default: num_train_epochs of the prompts)"),
  per_device_train_batch_size: count("responses of an iteration, in a micro-batch", {
    default: d.batchSize,
    aliases: ["batch_size"],
  }),
  gradient_accumulation_steps: count("micro-batches of an iteration", {
    default: 1,
    aliases: ["gradient_accumulation"],
  }),
  num_train_epochs: positive("times that the prompts are seen", {
    default: d.numEpochs,
    aliases: ["num_epochs"],
  }),
  max_steps: count("iterations; wins over total_episodes"),
});

interface OnPrompts {
  /** Tokens of a response, at most, from the keys: prompts leave room for them. */
  responseLength(keys: StageKeys): number;
  /** Options beside those of the keys' names. */
  more?(keys: StageKeys, context: StageContext, reward: unknown): Promise<Record<string, unknown>>;
  train(
    options: never,
    hooks: TrainerHooks<Course>,
  ): Promise<{ readonly model: Model } & Omit<StageResult, "data">>;
}

/** `ref_model` becomes the option `refModel`, the reward a function, the judge an opened one, the other keys the options of the same names. */
export const runOnPrompts =
  ({ responseLength, more, train }: OnPrompts) =>
  async ({ ref_model, reward, judge, ...keys }: StageKeys, context: StageContext): Promise<StageResult> => {
    const model = await context.model(keys.model as string);
    const prompts = await promptsOf(model, context.data(keys.data as string), responseLength(keys), keys);
    const scored = reward === undefined ? undefined : await context.reward(reward, model);
    const judged = judge === undefined ? undefined : await judgeOf(judge, keys, context);
    const options = {
      ...trainingOptions(withoutReading(withoutAsking(keys)), context),
      model,
      ...(ref_model !== undefined && { refModel: await context.model(ref_model as string) }),
      ...(await more?.(keys, context, reward)),
      prompts: [...prompts.prompts],
      maxPromptLength: prompts.maxPromptLength,
      ...(scored && { reward: scored }),
      ...(judged && { judge: judged }),
    };
    const hooks = trainingHooks(context, ({ totalSteps, step, tokens }: Course) => ({
      preflight: promptPreflight(prompts, prompts.tokenizer),
      totalSteps,
      step,
      tokens,
    }));
    try {
      const result = await train(options as never, hooks);
      return { ...result, data: { rows: prompts.rows, skipped: prompts.skipped.length } };
    } finally {
      await judged?.dispose();
    }
  };
