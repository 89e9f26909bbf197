/** The options of every method that learns from its own responses to prompts: names and defaults of TRL's in camelCase. */
import type { DataInput } from "../data/input.ts";
import type { PromptExample, PromptOptions } from "../data/prompts.ts";
import type { Model } from "../models/load.ts";
import type { OpenedReward, Reward } from "../reward/reward.ts";
import type { RewardSpec } from "../reward/spec.ts";
import { TrainError } from "./errors.ts";
import { checkOptions, type TrainerOptions, trainerDefaults } from "./loop/trainer-options.ts";
import { checkInt8Reference } from "./policy/checks.ts";

/** What concerns rows that are there before training, and their evaluation. */
type OfRows =
  | "fp16"
  | "loss"
  | "groupByLength"
  | "evalBatchSize"
  | "evalSteps"
  | "earlyStoppingPatience"
  | "metricForBest"
  | "loadBestModelAtEnd";

/** How responses are sampled, and what they are compared with. */
export interface SamplingOptions extends Omit<TrainerOptions, OfRows> {
  /** The policy at the start. */
  readonly model: Model;
  /** What the KL is measured against; by default the policy at the start, under LoRA the base. */
  readonly refModel?: Model | undefined;
  /** Hold the reference with 8-bit projections, a quarter of their size; its log-probabilities differ a little. */
  readonly int8Reference?: boolean | undefined;
  /** Of sampling, and of every log-probability. */
  readonly temperature?: number | undefined;
  /** Tokens of a response, at most. */
  readonly responseLength?: number | undefined;
  /** Ids that end a response; the model's own by default. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Taken off the score of a response that did not end by itself. */
  readonly missingEosPenalty?: number | undefined;
}

export interface PromptedOptions
  extends SamplingOptions,
    Partial<Omit<PromptOptions, "chatTemplate" | "maxPromptLength">> {
  /** A function from a batch to scores, a reward model, an opened reward, or any other by its name: see attune/reward. */
  readonly reward: Reward | OpenedReward | Model | RewardSpec;
  /** Files, hub ids, or rows that have a prompt, whose other columns go to the reward; or what `loadPrompts` gave. */
  readonly prompts: DataInput | readonly PromptExample[];
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string | undefined;
  /** Tokens of a prompt, at most. By default what the context leaves beside a response. */
  readonly maxPromptLength?: number | undefined;
  /** Responses written to samples.jsonl at each iteration. */
  readonly numSamples?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const promptedDefaults = {
  ...trainerDefaults,
  learningRate: 3e-6,
  batchSize: 32,
  // The policy that is trained is the one that is served: at its own temperature.
  temperature: 1,
  responseLength: 53,
  missingEosPenalty: 0,
  numSamples: 4,
} as const satisfies Partial<PromptedOptions>;

/** The options over their defaults; a method with a judge has no reward. */
export type PromptedSettings = Omit<PromptedOptions, "reward"> & {
  readonly reward?: PromptedOptions["reward"] | undefined;
} & {
  readonly [K in keyof typeof promptedDefaults & keyof PromptedOptions]: NonNullable<PromptedOptions[K]>;
};

/** An option's name in a recipe. */
export const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * @param least the smallest whole number that is required
 * @throws TrainError with the first of these options that is not one of at least that
 */
export function checkCounts<K extends string>(
  o: { readonly [name in K]?: unknown },
  least: number,
  names: readonly K[],
) {
  for (const name of names)
    if (!Number.isInteger(o[name]) || (o[name] as number) < least)
      throw new TrainError(`${snake(name)}: a whole number of at least ${least} is required, got ${o[name]}`);
}

/**
 * Refuses what no method that samples can work with.
 *
 * @throws TrainError with the option, what it needs and what came
 */
export function checkSampling(
  o: Omit<TrainerOptions, OfRows> &
    Pick<SamplingOptions, "int8Reference" | "refModel"> &
    Pick<
      PromptedSettings,
      "batchSize" | "gradientAccumulation" | "responseLength" | "temperature" | "missingEosPenalty"
    >,
): void {
  checkCounts(o, 1, ["batchSize", "gradientAccumulation", "responseLength"]);
  checkOptions(o);
  checkInt8Reference(o);
  if (!(o.temperature > 0)) throw new TrainError(`temperature: above 0 is required, got ${o.temperature}`);
  if (!(o.missingEosPenalty >= 0))
    throw new TrainError(
      `missing_eos_penalty: it is taken off the score, so at least 0 is required, got ${o.missingEosPenalty}`,
    );
}
