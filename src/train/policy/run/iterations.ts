/**
 * The loop of every method that learns from its own responses: prompts, engine, reward and run folder are opened, an
 * iteration samples, judges and learns, and what it gives is logged; checkpoints, resuming, an early end.
 *
 * What an iteration does, the method says: `runOnPolicy` (on-policy-run.ts) for PPO and what is made as it is, ../../trpo.ts,
 * ../../expert-iteration.ts, ../../online-dpo.ts, ../../nash-md.ts and ../../multi-turn.ts for themselves.
 */
import { join } from "node:path";
import type { PromptDataset, PromptExample } from "../../../data/prompts.ts";
import type { Engine, HostArray } from "../../../graph/index.ts";
import { createEngine } from "../../../graph/node.ts";
import type { Model } from "../../../models/load.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { checkpointReward } from "../../../reward/checkpoint-reward.ts";
import { openReward } from "../../../reward/node-open.ts";
import { observed, partFigures } from "../../../reward/observed.ts";
import { type OpenedReward, RewardError } from "../../../reward/reward.ts";
import { openRun, type Resumed, type RunModels, type Sample } from "../../../runs/run-folder.ts";
import { TrainError } from "../../errors.ts";
import { tellOfResume } from "../../loop/fit.ts";
import { type Course, type TrainerHooks, withDefaults } from "../../loop/trainer-options.ts";
import {
  checkCounts,
  checkSampling,
  type PromptedOptions,
  type PromptedSettings,
  promptedDefaults,
} from "../../prompted-options.ts";
import { promptsAt, readPrompts } from "./prompts.ts";

/** Options of methods whose batch is of prompts. */
export interface IterationOptions extends PromptedOptions {
  /** Prompts of an iteration. */
  readonly promptsPerStep?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const iterationDefaults = {
  ...promptedDefaults,
  numEpochs: 1,
  promptsPerStep: 32,
} as const satisfies Partial<IterationOptions>;

export type IterationSettings = PromptedSettings & { readonly promptsPerStep: number };

/** Where a run stands; JSON. */
export interface RunState {
  /** Iterations that are done. */
  step: number;
  /** Responses. */
  episode: number;
  /** Tokens of prompts and responses. */
  num_tokens: number;
}

export interface PolicyStart extends Course {
  readonly prompts: PromptDataset;
}

export type PolicyHooks = TrainerHooks<PolicyStart>;

export interface PolicyResult {
  readonly model: Model;
  /** The same as `model`. */
  readonly policy: Model;
  /** Of methods that have one. */
  readonly critic?: Model | undefined;
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
  /** The moving average of the models, where `emaDecay` asks for one. */
  averaged?(): Promise<Model | undefined>;
  /** Of methods that have one. */
  critic?(): Promise<Model | undefined>;
  /** Of the optimiser. */
  arrays(): Promise<Record<string, HostArray>>;
  /** What a checkpoint keeps besides the counters; JSON. */
  state?(): object;
  /** What a person should know of the run at its end, in one sentence. */
  summary?(): string | undefined;
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
  readonly from?: Resumed<RunState> | undefined;
  readonly onWarning: (text: string) => void;
}

export interface Method {
  /** Its name in messages. */
  readonly name: string;
  /** Prompts of an iteration. */
  readonly promptsPerStep: number;
  /** Responses to a prompt, by which `totalEpisodes` is counted. Default 1. */
  readonly samples?: number;
  /** It says itself when nothing was learned of an iteration. */
  readonly saysNothingLearned?: boolean;
  /** Responses in all; wins over `numEpochs`, and `maxSteps` over it. */
  readonly totalEpisodes?: number | undefined;
  /** Options that must be the same when a run goes on, beside those that all methods share. */
  readonly decisive: Decisive;
  open(place: Place): Promise<Learner>;
}

/** What of a method's own options decides what a run computes. */
export type Decisive = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * The options of a method whose batch is of prompts, over its defaults and checked.
 *
 * @throws TrainError with the option, what it needs and what came
 */
export function iterationSettings<D extends object, O extends object>(defaults: D, options: O) {
  const o = withDefaults(defaults, options);
  checkSampling(o as unknown as IterationSettings);
  checkCounts(o as unknown as IterationSettings, 1, ["promptsPerStep"]);
  return o;
}

/**
 * Runs a method until its steps are done or the signal ends it, in a folder where there is one.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 */
export async function runIterations(
  o: PromptedSettings,
  method: Method,
  { signal, onStart, onStep, onWarning = () => {} }: PolicyHooks = {},
): Promise<PolicyResult> {
  const { name, promptsPerStep, samples = 1, totalEpisodes } = method;
  const { model, dataset, survey } = await readPrompts(o, name);
  const { tokenizer } = model;
  if (!tokenizer) throw new TrainError(`${model.name}: ${name} needs a tokenizer, the model has none`);
  const { prompts } = dataset;
  const episodes = totalEpisodes ?? o.numEpochs * prompts.length * samples;
  const totalSteps = o.maxSteps ?? Math.max(1, Math.ceil(episodes / (promptsPerStep * samples)));
  const saveSteps = o.saveSteps ?? Math.max(1, Math.ceil(totalSteps / 10));
  const fingerprint = {
    ...courseOf({ ...o, ...method.decisive }, Object.keys(method.decisive)),
    ...{ trainer: name, promptsPerStep, data: survey.hash, totalSteps },
  };
  const run = o.outputDir === undefined ? undefined : await openRun<RunState>(o.outputDir, o);
  let own: Engine | undefined;
  let reward: OpenedReward | undefined;
  let learner: Learner | undefined;
  try {
    const found = await run?.resume(fingerprint);
    tellOfResume(o, run, found, onWarning);
    const state: RunState = { step: 0, episode: 0, num_tokens: 0, ...found?.state };
    const engine = o.engine ?? (own = await createEngine({ provider: o.provider, threads: o.threads }));
    const heard = partFigures();
    reward = observed(await rewardOf(o, engine, { tokenizer, onWarning }), heard.see);
    const opened = await method.open({
      ...{ engine, reward, model, tokenizer, totalSteps, onWarning },
      longestPrompt: survey.longest,
      from: found,
    });
    learner = opened;
    const models = async (): Promise<RunModels> => {
      const critic = await opened.critic?.();
      return { model: await opened.model(), ...(critic && { critic }) };
    };
    let saved = found ? state.step : -1;
    const save = async () => {
      if (!run || saved === state.step) return;
      const [now, arrays] = [await models(), await opened.arrays()];
      await run.save(
        state.step,
        { models: now, state: { ...opened.state?.(), ...state }, arrays },
        fingerprint,
      );
      saved = state.step;
    };
    onStart?.({ totalSteps, step: state.step, tokens: state.num_tokens, prompts: dataset });
    let metrics: Record<string, number> = {};
    let hasWarned = false;
    while (state.step < totalSteps && !signal?.aborted) {
      const started = performance.now();
      const batch = promptsAt(prompts, state.step, promptsPerStep, o.seed);
      const done = await opened.iterate(batch, state.step).catch(async (error) => {
        // A reward that is down must not cost what was learned.
        if (error instanceof RewardError) await save();
        throw error;
      });
      checkFinite(done.metrics, state.step + 1, run?.lastCheckpoint());
      if (
        !hasWarned &&
        !method.saysNothingLearned &&
        [done.metrics.frac_reward_zero_std, done.metrics.frac_ties].includes(1)
      ) {
        hasWarned = true;
        onWarning(
          `step ${state.step + 1}: all responses to each prompt are worth the same, so nothing was learned of them; ` +
            "another reward, more responses to a prompt or a higher temperature would tell them apart",
        );
      }
      state.step++;
      state.episode += done.responses;
      state.num_tokens += done.tokens;
      const eps = (1000 * done.responses) / (performance.now() - started);
      metrics = {
        ...done.metrics,
        ...heard.take(),
        episode: state.episode,
        num_tokens: state.num_tokens,
        eps,
      };
      await run?.log(state.step, metrics);
      await run?.sample(state.step, done.samples);
      if (state.step % saveSteps === 0 || state.step === totalSteps) await save();
      await onStep?.({ step: state.step, totalSteps, metrics });
    }
    const reason = state.step < totalSteps ? "stopped" : "done";
    await save();
    const summary = opened.summary?.();
    if (summary !== undefined) onWarning(summary);
    const average = await opened.averaged?.();
    const { model: last, critic } = await models();
    const policy = average ?? last;
    if (run && reason === "done") {
      await policy.save(join(run.dir, "model"));
      if (average) await last.save(join(run.dir, "last"));
      await critic?.save(join(run.dir, "critic"));
    }
    return { model: policy, policy, critic, metrics, steps: state.step, reason };
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

/** Whether a reward is a model, and not a name or a function. */
export const isModel = (reward: PromptedSettings["reward"]): reward is Model =>
  typeof reward === "object" && reward !== null && "parameters" in reward && "config" in reward;

const isOpened = (reward: NonNullable<PromptedSettings["reward"]>): reward is OpenedReward =>
  typeof reward === "object" && "score" in reward && typeof reward.score === "function";

const rewardOf = async (
  { reward, batchSize }: PromptedSettings,
  engine: Engine,
  { tokenizer, onWarning }: { readonly tokenizer: Tokenizer; readonly onWarning: (text: string) => void },
): Promise<OpenedReward> => {
  if (reward === undefined)
    return { name: "none", score: (batch) => batch.map(() => 0), dispose: async () => {} };
  if (isOpened(reward)) return { ...reward, dispose: async () => {} }; // whoever opened it closes it
  return isModel(reward)
    ? checkpointReward(reward, { engine, batchSize, policyTokenizer: tokenizer, onWarning })
    : openReward(reward, { engine, tokenizer, onWarning });
};

/** Settings that decide what any method computes; they must be the same when it goes on. */
const decisive = [
  ...["learningRate", "lrSchedulerType", "warmupSteps", "warmupRatio", "optimizer", "adamBeta1", "adamBeta2"],
  ...[
    "adamEpsilon",
    "momentum",
    "weightDecay",
    "maxGradNorm",
    "emaDecay",
    "batchSize",
    "gradientAccumulation",
  ],
  ...["seed", "temperature", "responseLength", "missingEosPenalty", "int8Reference"],
];

const courseOf = (all: object, own: readonly string[]): Record<string, string | number | boolean> =>
  Object.fromEntries(
    [...decisive, ...own].flatMap((name) => {
      const value = (all as Decisive)[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
