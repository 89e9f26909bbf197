/**
 * The loop of an on-policy method: prompts, responses, rewards, a step, metrics, checkpoints.
 */
import { join } from "node:path";
import type { PromptDataset, PromptExample } from "../../data/prompts.ts";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import type { Model } from "../../models/load.ts";
import { checkpointReward } from "../../reward/checkpoint-reward.ts";
import { openReward } from "../../reward/node-open.ts";
import type { OpenedReward } from "../../reward/reward.ts";
import type { RewardSpec } from "../../reward/spec.ts";
import { openRun } from "../../runs/run-folder.ts";
import { tellOfResume } from "../loop/fit.ts";
import type { Course, TrainerHooks } from "../loop/trainer-options.ts";
import type { PpoOptions, settingsOf } from "../ppo-options.ts";
import type { Algorithm } from "./algorithm.ts";
import { criticFrom } from "./critic.ts";
import { createOnPolicy } from "./on-policy.ts";
import { promptsAt, readPrompts } from "./prompts.ts";
import { scoreResponses } from "./rollouts.ts";
import type { PolicyState } from "./state.ts";

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

type Settings = ReturnType<typeof settingsOf<PpoOptions>>;

/** What of a method's own options decides what a run computes. */
export type Decisive = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Trains a policy by a method, in a folder where there is one.
 *
 * @param o the method's settings under the names of PPO's
 * @param decides the method's own options, which must be the same when the run goes on
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 */
export async function runOnPolicy(
  algorithm: Algorithm,
  o: Settings,
  decides: Decisive,
  { signal, onStart, onStep, onWarning }: PolicyHooks = {},
): Promise<PolicyResult> {
  const { model, dataset, survey } = await readPrompts(o);
  const { prompts } = dataset;
  const rows = o.batchSize * o.gradientAccumulation;
  const { samples } = algorithm;
  const totalSteps =
    o.maxSteps ?? Math.max(1, Math.ceil((o.totalEpisodes ?? o.numEpochs * prompts.length * samples) / rows));
  const saveSteps = o.saveSteps ?? Math.max(1, Math.ceil(totalSteps / 10));
  const run = o.outputDir === undefined ? undefined : await openRun<PolicyState>(o.outputDir, o);
  let own: Engine | undefined;
  let reward: OpenedReward | undefined;
  try {
    const fingerprint = { ...courseOf(o, decides), data: survey.hash, totalSteps };
    const found = await run?.resume(fingerprint);
    tellOfResume(o, run, found, onWarning);
    const engine = o.engine ?? (own = await createEngine({ provider: o.provider, threads: o.threads }));
    reward = await rewardOf(o, engine);
    const critic = o.critic === "reward" && isModel(o.reward) ? criticFrom(o.reward) : o.critic;
    const trainer = await createOnPolicy(
      algorithm,
      { ...o, model, engine, critic },
      {
        totalSteps,
        longestPrompt: survey.longest,
        onWarning,
        from: found && {
          state: found.state,
          arrays: found.arrays,
          model: () => found.model("model"),
          ...(algorithm.critic && { critic: () => found.model("critic") }),
        },
      },
    );
    const { state } = trainer;
    let saved = found ? state.step : -1;
    const save = async () => {
      if (!run || saved === state.step) return;
      const critic = await trainer.critic();
      const models = { model: await trainer.policy(), ...(critic && { critic }) };
      await run.save(state.step, { models, state, arrays: await trainer.arrays() }, fingerprint);
      saved = state.step;
    };
    try {
      onStart?.({ totalSteps, step: state.step, tokens: state.num_tokens, prompts: dataset });
      let metrics: Record<string, number> = {};
      while (state.step < totalSteps && !signal?.aborted) {
        const started = performance.now();
        const batch = promptsAt(prompts, state.step, rows / samples, o.seed);

        const responses = await trainer.rollout(batch);
        const rolled = performance.now();
        const asked = responses.map((_, i) => batch[Math.floor(i / samples)] as PromptExample);
        const rewards = await scoreResponses(reward.score, asked, responses, reward.name).catch(
          async (error) => {
            await save(); // a reward that is down must not cost what was learned
            throw error;
          },
        );
        const rewarded = performance.now();
        metrics = await trainer.step({ prompts: batch, responses, rewards });

        metrics["time/rollout"] = (rolled - started) / 1000;
        metrics["time/score"] = (metrics["time/score"] ?? 0) + (rewarded - rolled) / 1000;
        metrics.eps = (1000 * rows) / (performance.now() - started);
        await run?.log(state.step, metrics);
        const shown = responses.slice(0, o.numSamples).map(({ text, terminated }, i) => ({
          prompt: asked[i]?.text ?? "",
          completion: text,
          score: rewards[i] as number,
          terminated,
        }));
        await run?.sample(state.step, shown);
        if (state.step % saveSteps === 0 || state.step === totalSteps) await save();
        await onStep?.({ step: state.step, totalSteps, metrics });
      }
      const reason = state.step < totalSteps ? "stopped" : "done";
      await save();
      const average = await trainer.averagedPolicy();
      const [last, critic] = [await trainer.policy(), await trainer.critic()];
      const policy = average ?? last;
      if (run && reason === "done") {
        await policy.save(join(run.dir, "model"));
        if (average) await last.save(join(run.dir, "last"));
        await critic?.save(join(run.dir, "critic"));
      }
      return { model: policy, policy, critic, metrics, steps: state.step, reason };
    } finally {
      await trainer.dispose();
    }
  } finally {
    await reward?.dispose();
    await own?.dispose();
    await run?.close();
  }
}

const isModel = (reward: PpoOptions["reward"]): reward is Model =>
  typeof reward === "object" && reward !== null && "parameters" in reward && "config" in reward;

const rewardOf = ({ reward, model, batchSize }: Settings, engine: Engine): Promise<OpenedReward> => {
  const { tokenizer } = model;
  if (isModel(reward))
    return checkpointReward(reward, { engine, batchSize, ...(tokenizer && { policyTokenizer: tokenizer }) });
  return openReward(reward as RewardSpec, { engine, ...(tokenizer && { tokenizer }) });
};

/** Settings that decide what a run computes; they must be the same when it goes on. */
const decisive = [
  ...["learningRate", "criticLearningRate", "lrSchedulerType", "warmupSteps", "warmupRatio", "optimizer"],
  ...[
    "adamBeta1",
    "adamBeta2",
    "adamEpsilon",
    "epsilonPlacement",
    "momentum",
    "weightDecay",
    "maxGradNorm",
    "emaDecay",
  ],
  ...["batchSize", "gradientAccumulation", "numPpoEpochs", "numMiniBatches", "seed", "sharedBackbone"],
  ...["cliprange", "cliprangeValue", "vfCoef", "entropyCoef", "gamma", "lam", "whitenRewards", "targetKl"],
  ...[
    "missingEosPenalty",
    "klCoef",
    "klEstimator",
    "klIn",
    "klSchedule",
    "klCoefEnd",
    "klTarget",
    "klHorizon",
  ],
  ...["temperature", "responseLength", "int8Rollouts"],
] as const;

const courseOf = (o: Settings, decides: Decisive): Record<string, string | number | boolean> =>
  Object.fromEntries(
    [...decisive, ...Object.keys(decides)].flatMap((name) => {
      const value = ({ ...o, ...decides } as unknown as Decisive)[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
