/**
 * The loop of methods that learn from their own samples in iterations: prompts, engine, reward and run folder are
 * opened, an iteration samples, judges and learns, and what it gives is logged; checkpoints, resuming, an early end.
 * What an iteration does, the method says.
 */
import { join } from "node:path";
import type { PromptDataset, PromptExample, PromptOptions } from "../../data/prompts.ts";
import type { Engine, HostArray } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import type { Model } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { checkpointReward } from "../../reward/checkpoint-reward.ts";
import { openReward } from "../../reward/node-open.ts";
import { type OpenedReward, type Reward, RewardError } from "../../reward/reward.ts";
import type { RewardSpec } from "../../reward/spec.ts";
import { openRun, type Sample } from "../../runs/run-folder.ts";
import { TrainError } from "../errors.ts";
import { tellOfResume } from "../loop/fit.ts";
import {
  type Course,
  checkOptions,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
} from "../loop/trainer-options.ts";
import { promptsAt, readPrompts } from "../policy/prompts.ts";
import type { PpoOptions } from "../ppo-options.ts";

type Shared = Omit<
  TrainerOptions,
  | "loss"
  | "groupByLength"
  | "evalBatchSize"
  | "evalSteps"
  | "earlyStoppingPatience"
  | "metricForBest"
  | "loadBestModelAtEnd"
>;

/** What methods on own samples share: names and defaults of TRL's online trainers in camelCase. */
export interface IterationOptions
  extends Shared,
    Partial<Omit<PromptOptions, "chatTemplate" | "maxPromptLength">> {
  /** The policy at the start. */
  readonly model: Model;
  /** What the KL is measured against; by default the policy at the start, under LoRA the base. */
  readonly refModel?: Model | undefined;
  /** A function from a batch to scores, a reward model, or any other reward by its name: see attune/reward. */
  readonly reward: Reward | Model | RewardSpec;
  /** Files, hub ids, or rows that have a prompt, whose other columns go to the reward; or what `loadPrompts` gave. */
  readonly prompts: PpoOptions["prompts"];
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string | undefined;
  /** Tokens of a prompt, at most. By default what the context leaves beside a response. */
  readonly maxPromptLength?: number | undefined;
  /** Prompts of an iteration. */
  readonly promptsPerStep?: number | undefined;
  /** Of sampling, and of every log-probability. */
  readonly temperature?: number | undefined;
  /** Tokens of a response, at most. */
  readonly responseLength?: number | undefined;
  /** Ids that end a response; the model's own by default. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Taken off the score of a response that did not end by itself. */
  readonly missingEosPenalty?: number | undefined;
  /** Responses written to samples.jsonl at each iteration. */
  readonly numSamples?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const iterationDefaults = {
  ...trainerDefaults,
  learningRate: 3e-6,
  batchSize: 32,
  numEpochs: 1,
  promptsPerStep: 32,
  temperature: 1,
  responseLength: 53,
  missingEosPenalty: 0,
  numSamples: 4,
} as const satisfies Partial<IterationOptions>;

export type IterationSettings = Omit<IterationOptions, "reward"> & {
  /** Left out where a judge compares. */
  readonly reward?: IterationOptions["reward"] | undefined;
} & {
  readonly [K in keyof typeof iterationDefaults & keyof IterationOptions]: NonNullable<IterationOptions[K]>;
};

/** Where a run stands; JSON. */
export interface IterationState {
  /** Iterations that are done. */
  step: number;
  /** Responses. */
  episode: number;
  /** Tokens of prompts and responses. */
  num_tokens: number;
}

export interface IterationStart extends Course {
  readonly prompts: PromptDataset;
}

export type IterationHooks = TrainerHooks<IterationStart>;

export interface IterationResult {
  readonly model: Model;
  /** The same as `model`. */
  readonly policy: Model;
  /** Of the last iteration. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly reason: "done" | "stopped";
}

/** What an iteration gives. */
export interface Iteration {
  readonly metrics: Record<string, number>;
  readonly responses: number;
  readonly tokens: number;
  readonly samples: readonly Sample[];
}

/** A policy that learns. */
export interface Learner {
  /** Samples, judges and learns; `step` counts from 0. */
  iterate(prompts: readonly PromptExample[], step: number): Promise<Iteration>;
  model(): Promise<Model>;
  /** Of the optimiser. */
  arrays(): Promise<Record<string, HostArray>>;
  dispose(): Promise<void>;
}

/** What a method is given to open its learner. */
export interface Place {
  readonly engine: Engine;
  readonly reward: OpenedReward;
  /** With its chat template. */
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** In tokens. */
  readonly longestPrompt: number;
  readonly totalSteps: number;
  /** A checkpoint to go on from. */
  readonly from?: { readonly model: Model; readonly arrays: Readonly<Record<string, HostArray>> } | undefined;
  readonly onWarning: (text: string) => void;
}

export interface Method {
  /** Its name in messages. */
  readonly name: string;
  /** Options that must be the same when a run goes on, beside those that all methods share. */
  readonly decisive: Readonly<Record<string, string | number | boolean>>;
  open(place: Place): Promise<Learner>;
}

const counts = ["promptsPerStep", "batchSize", "responseLength"] as const;

/**
 * Refuses what no method can work with.
 *
 * @throws TrainError with the option, what it needs and what came
 */
export function checkIterations(o: IterationSettings): void {
  checkOptions(o);
  for (const name of counts)
    if (!Number.isInteger(o[name]) || o[name] < 1)
      throw new TrainError(
        `${name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}: a whole number of at least 1 is required, got ${o[name]}`,
      );
  if (!(o.temperature > 0)) throw new TrainError(`temperature: above 0 is required, got ${o.temperature}`);
  if (!(o.missingEosPenalty >= 0))
    throw new TrainError(
      `missing_eos_penalty: it is taken off the score, so at least 0 is required, got ${o.missingEosPenalty}`,
    );
}

/** Runs a method until its steps are done or the signal ends it. */
export async function runIterations(
  o: IterationSettings,
  method: Method,
  { signal, onStart, onStep, onWarning = () => {} }: IterationHooks = {},
): Promise<IterationResult> {
  checkIterations(o);
  const { model, dataset, survey } = await readPrompts(o, method.name);
  const { tokenizer } = model;
  if (!tokenizer) throw new TrainError(`${model.name}: ${method.name} needs a tokenizer, the model has none`);
  const { prompts } = dataset;
  const totalSteps = o.maxSteps ?? Math.max(1, Math.ceil((o.numEpochs * prompts.length) / o.promptsPerStep));
  const saveSteps = o.saveSteps ?? Math.max(1, Math.ceil(totalSteps / 10));
  const fingerprint = {
    ...courseOf(o),
    ...method.decisive,
    trainer: method.name,
    data: survey.hash,
    totalSteps,
  };
  const run = o.outputDir === undefined ? undefined : await openRun<IterationState>(o.outputDir, o);
  let own: Engine | undefined;
  let reward: OpenedReward | undefined;
  let learner: Learner | undefined;
  try {
    const found = await run?.resume(fingerprint);
    tellOfResume(o, run, found, onWarning);
    const state: IterationState = { step: 0, episode: 0, num_tokens: 0, ...found?.state };
    const engine = o.engine ?? (own = await createEngine({ provider: o.provider, threads: o.threads }));
    reward = await rewardOf(o, engine, tokenizer);
    const opened = await method.open({
      ...{ engine, reward, model, tokenizer, totalSteps, onWarning },
      longestPrompt: survey.longest,
      from: found && { model: await found.model("model"), arrays: found.arrays },
    });
    learner = opened;
    let saved = found ? state.step : -1;
    const save = async () => {
      if (!run || saved === state.step) return;
      const models = { model: await opened.model() };
      await run.save(state.step, { models, state, arrays: await opened.arrays() }, fingerprint);
      saved = state.step;
    };
    onStart?.({ totalSteps, step: state.step, tokens: state.num_tokens, prompts: dataset });
    let metrics: Record<string, number> = {};
    while (state.step < totalSteps && !signal?.aborted) {
      const started = performance.now();
      const batch = promptsAt(prompts, state.step, o.promptsPerStep, o.seed);
      const done = await opened.iterate(batch, state.step).catch(async (error) => {
        // A reward that is down must not cost what was learned.
        if (error instanceof RewardError) await save();
        throw error;
      });
      checkFinite(done.metrics, state.step + 1, run?.lastCheckpoint());
      state.step++;
      state.episode += done.responses;
      state.num_tokens += done.tokens;
      const eps = (1000 * done.responses) / (performance.now() - started);
      metrics = { ...done.metrics, episode: state.episode, num_tokens: state.num_tokens, eps };
      await run?.log(state.step, metrics);
      await run?.sample(state.step, done.samples);
      if (state.step % saveSteps === 0 || state.step === totalSteps) await save();
      await onStep?.({ step: state.step, totalSteps, metrics });
    }
    const reason = state.step < totalSteps ? "stopped" : "done";
    await save();
    const policy = await opened.model();
    if (run && reason === "done") await policy.save(join(run.dir, "model"));
    return { model: policy, policy, metrics, steps: state.step, reason };
  } finally {
    await learner?.dispose();
    await reward?.dispose();
    await own?.dispose();
    await run?.close();
  }
}

function checkFinite(
  metrics: Readonly<Record<string, number>>,
  step: number,
  rescue = "there is no output folder",
) {
  const bad = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
  if (bad)
    throw new TrainError(
      `step ${step}: ${bad[0]} is ${bad[1]}, training stops; lower the learning rate; ${rescue}`,
    );
}

const isModel = (reward: NonNullable<IterationOptions["reward"]>): reward is Model =>
  typeof reward === "object" && reward !== null && "parameters" in reward && "config" in reward;

const rewardOf = async (
  { reward, batchSize }: IterationSettings,
  engine: Engine,
  tokenizer: Tokenizer,
): Promise<OpenedReward> =>
  reward === undefined
    ? { name: "none", score: (batch) => batch.map(() => 0), dispose: async () => {} }
    : isModel(reward)
      ? checkpointReward(reward, { engine, batchSize, policyTokenizer: tokenizer })
      : openReward(reward as RewardSpec, { engine, tokenizer });

/** Settings that decide what a run computes; they must be the same when it goes on. */
const decisive = [
  ...["learningRate", "lrSchedulerType", "warmupSteps", "warmupRatio", "optimizer", "adamBeta1", "adamBeta2"],
  ...["adamEpsilon", "momentum", "weightDecay", "maxGradNorm", "batchSize", "gradientAccumulation", "seed"],
  ...["promptsPerStep", "temperature", "responseLength", "missingEosPenalty"],
] as const;

const courseOf = (o: IterationSettings): Record<string, string | number | boolean> =>
  Object.fromEntries(
    decisive.flatMap((name) => {
      const value = (o as unknown as Record<string, string | number | boolean | undefined>)[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
