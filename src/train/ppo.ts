/**
 * Proximal policy optimisation of a language model (Schulman et al. 2017; Ziegler et al. 2019; Ouyang et al. 2022):
 *
 *     maximise  E[score(prompt, response)] - beta KL(pi || pi_ref)
 *
 *     rollout     sample a response to each prompt                                    rollouts.ts
 *     score       ask the reward; log-probabilities of the reference; values          token-pass.ts, ppo-critic.ts
 *     advantage   rewards per token, GAE, whitening                                   advantages.ts, kl.ts
 *     loss, step  a few epochs of clipped updates of policy and critic                ppo-loss.ts, ppo-update.ts
 *     log         metrics under TRL's names                                           ppo-metrics.ts
 */
import { join } from "node:path";
import type { PromptDataset } from "../data/prompts.ts";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import type { Model } from "../models/load.ts";
import { checkpointReward } from "../reward/checkpoint-reward.ts";
import { openReward } from "../reward/node-open.ts";
import type { OpenedReward } from "../reward/reward.ts";
import type { RewardSpec } from "../reward/spec.ts";
import { openRun } from "../runs/run-folder.ts";
import { tellOfResume } from "./loop/fit.ts";
import type { Course, TrainerHooks } from "./loop/trainer-options.ts";
import { criticFrom } from "./policy/ppo-critic.ts";
import { promptsAt, readPrompts } from "./policy/ppo-prompts.ts";
import type { PpoState } from "./policy/ppo-state.ts";
import { createPpo } from "./policy/ppo-step.ts";
import { scoreResponses } from "./policy/rollouts.ts";
import { type PpoOptions, settingsOf } from "./ppo-options.ts";

export interface PpoStart extends Course {
  readonly prompts: PromptDataset;
}

export type PpoHooks = TrainerHooks<PpoStart>;

export interface PpoResult {
  readonly model: Model;
  /** The same as `model`. */
  readonly policy: Model;
  readonly critic: Model;
  /** Of the last iteration. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly reason: "done" | "stopped";
}

/**
 * Optimises a policy against a reward.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await ppo({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   reward: (batch) => batch.map(({ completion }) => (completion.endsWith("?") ? 1 : 0)),
 *   klCoef: 0.05,
 * });
 */
export async function ppo(
  options: PpoOptions,
  { signal, onStart, onStep, onWarning }: PpoHooks = {},
): Promise<PpoResult> {
  const o = settingsOf(options);
  const { model, dataset, survey } = await readPrompts(o);
  const { prompts } = dataset;
  const rows = o.batchSize * o.gradientAccumulation;
  const totalSteps =
    o.maxSteps ?? Math.max(1, Math.ceil((o.totalEpisodes ?? o.numEpochs * prompts.length) / rows));
  const saveSteps = o.saveSteps ?? Math.max(1, Math.ceil(totalSteps / 10));
  const run = o.outputDir === undefined ? undefined : await openRun<PpoState>(o.outputDir, o);
  let own: Engine | undefined;
  let reward: OpenedReward | undefined;
  try {
    const fingerprint = { ...courseOf(o), data: survey.hash, totalSteps };
    const found = await run?.resume(fingerprint);
    tellOfResume(o, run, found, onWarning);
    const engine = o.engine ?? (own = await createEngine({ provider: o.provider, threads: o.threads }));
    reward = await rewardOf(o, engine);
    const critic = o.critic === "reward" && isModel(o.reward) ? criticFrom(o.reward) : o.critic;
    const trainer = await createPpo(
      { ...o, model, engine, critic },
      {
        totalSteps,
        longestPrompt: survey.longest,
        onWarning,
        from: found && {
          state: found.state,
          arrays: found.arrays,
          model: () => found.model("model"),
          critic: () => found.model("critic"),
        },
      },
    );
    const { state } = trainer;
    let saved = found ? state.step : -1;
    const save = async () => {
      if (!run || saved === state.step) return;
      const models = { model: await trainer.policy(), critic: await trainer.critic() };
      await run.save(state.step, { models, state, arrays: await trainer.arrays() }, fingerprint);
      saved = state.step;
    };
    try {
      onStart?.({ totalSteps, step: state.step, tokens: state.num_tokens, prompts: dataset });
      let metrics: Record<string, number> = {};
      while (state.step < totalSteps && !signal?.aborted) {
        const started = performance.now();
        const batch = promptsAt(prompts, state.step, rows, o.seed);

        const responses = await trainer.rollout(batch);
        const rolled = performance.now();
        const rewards = await scoreResponses(reward.score, batch, responses, reward.name).catch(
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
          prompt: batch[i]?.text ?? "",
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
        await critic.save(join(run.dir, "critic"));
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

type Settings = ReturnType<typeof settingsOf<PpoOptions>>;

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

const courseOf = (o: Settings): Record<string, string | number | boolean> =>
  Object.fromEntries(
    decisive.flatMap((name) => {
      const value = (o as unknown as Record<string, string | number | boolean | undefined>)[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
