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
import { permutation } from "../graph/random.ts";
import type { Model } from "../models/load.ts";
import { openRun } from "../runs/run-folder.ts";
import { TrainError } from "./errors.ts";
import { type PpoOptions, settingsOf } from "./ppo-options.ts";
import { createPpo, type PpoState } from "./ppo-step.ts";
import { type RolloutPrompt, scoreResponses } from "./rollouts.ts";
import type { Course, TrainerHooks } from "./trainer-options.ts";

export interface PpoStart extends Course {
  readonly prompts: number;
  /** Prompts that were left out, and why. */
  readonly skipped: readonly string[];
}

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
 * @throws TrainError, DataError or RewardError with what is required, what came and what to do
 * @example
 * const { policy } = await ppo({
 *   model,
 *   prompts,
 *   reward: (batch) => batch.map(({ completion }) => (completion.endsWith("?") ? 1 : 0)),
 *   klCoef: 0.05,
 * });
 */
export async function ppo(
  options: PpoOptions,
  { signal, onStart, onStep, onWarning }: TrainerHooks<PpoStart> = {},
): Promise<PpoResult> {
  const o = settingsOf(options);
  const { prompts, skipped } = fitting(o);
  const rows = o.batchSize * o.gradientAccumulation;
  const totalSteps =
    o.maxSteps ?? Math.max(1, Math.ceil((o.totalEpisodes ?? o.numEpochs * prompts.length) / rows));
  const saveSteps = o.saveSteps ?? Math.max(1, Math.ceil(totalSteps / 10));
  const folder = o.outputDir === undefined ? undefined : await openRun<PpoState>(o.outputDir, o);
  const fingerprint = fingerprintOf(o, prompts, totalSteps);
  const found = await folder?.resume(fingerprint);
  if (found?.note !== undefined) onWarning?.(found.note);
  const trainer = await createPpo(o, {
    totalSteps,
    ...(onWarning && { onWarning }),
    ...(found && {
      from: {
        state: found.state,
        arrays: found.arrays,
        model: await found.model("model"),
        critic: await found.model("critic"),
      },
    }),
  });
  const { state } = trainer;
  let saved = found ? state.step : -1;
  const save = async () => {
    if (!folder || saved === state.step) return;
    const models = { model: await trainer.policy(), critic: await trainer.critic() };
    await folder.save(state.step, { models, state, arrays: await trainer.arrays() }, fingerprint);
    saved = state.step;
  };
  try {
    onStart?.({ totalSteps, step: state.step, tokens: state.num_tokens, prompts: prompts.length, skipped });
    let metrics: Record<string, number> = {};
    while (state.step < totalSteps && !signal?.aborted) {
      const started = performance.now();
      const batch = promptsAt(prompts, state.step, rows, o.seed);

      const responses = await trainer.rollout(batch);
      const rolled = performance.now();
      const rewards = await scoreResponses(o.reward, batch, responses);
      const rewarded = performance.now();
      metrics = await trainer.step({ prompts: batch, responses, rewards });

      metrics["time/rollout"] = (rolled - started) / 1000;
      metrics["time/score"] = (metrics["time/score"] ?? 0) + (rewarded - rolled) / 1000;
      metrics.eps = (rows / (performance.now() - started)) * 1000;
      await folder?.log(state.step, metrics);
      await folder?.sample(
        state.step,
        responses.slice(0, o.numSamples).map(({ text, terminated }, i) => ({
          prompt: batch[i]?.text ?? "",
          completion: text,
          score: rewards[i] as number,
          terminated,
        })),
      );
      if (state.step % saveSteps === 0 || state.step === totalSteps) await save();
      await onStep?.({ step: state.step, totalSteps, metrics });
    }
    const reason = state.step < totalSteps ? "stopped" : "done";
    await save();
    const [policy, critic] = [await trainer.policy(), await trainer.critic()];
    if (folder && reason === "done") {
      await policy.save(join(folder.dir, "model"));
      await critic.save(join(folder.dir, "critic"));
    }
    return { model: policy, policy, critic, metrics, steps: state.step, reason };
  } finally {
    await trainer.dispose();
    await folder?.close();
  }
}

/** The prompts of an iteration: every epoch has an order of its own, a function of the seed. */
export function promptsAt(
  prompts: readonly RolloutPrompt[],
  step: number,
  rows: number,
  seed: number,
): RolloutPrompt[] {
  const orders = new Map<number, Uint32Array>();
  return Array.from({ length: rows }, (_, i) => {
    const at = step * rows + i;
    const epoch = Math.floor(at / prompts.length);
    const order = orders.get(epoch) ?? permutation(prompts.length, seed, epoch);
    orders.set(epoch, order);
    return prompts[order[at % prompts.length] as number] as RolloutPrompt;
  });
}

function fitting(o: ReturnType<typeof settingsOf<PpoOptions>>): {
  prompts: readonly RolloutPrompt[];
  skipped: string[];
} {
  const room = o.model.config.maxPositions - o.responseLength;
  if (room < 1)
    throw new TrainError(
      `response_length: the context of ${o.model.name} is ${o.model.config.maxPositions} tokens, which must also hold a prompt; got ${o.responseLength}`,
    );
  const limit = Math.min(room, o.maxPromptLength ?? room);
  const skipped: string[] = [];
  const prompts = [...o.prompts].filter(({ ids }, i) => {
    const fits = ids.length > 0 && ids.length <= limit;
    if (!fits) skipped.push(`prompt ${i + 1}: 1 to ${limit} tokens are required, it has ${ids.length}`);
    return fits;
  });
  if (prompts.length === 0)
    throw new TrainError(
      `prompts: none is left of ${o.prompts.length}${skipped[0] ? `; ${skipped[0]}` : ""}`,
    );
  return { prompts, skipped };
}

/** What must be the same when a run goes on. */
function fingerprintOf(
  o: ReturnType<typeof settingsOf<PpoOptions>>,
  prompts: readonly RolloutPrompt[],
  totalSteps: number,
): Record<string, string | number | boolean> {
  const names = Object.entries(o).filter(
    ([name, value]) =>
      ["number", "string", "boolean"].includes(typeof value) &&
      ![
        "saveSteps",
        "saveTotalLimit",
        "maxSteps",
        "totalEpisodes",
        "numEpochs",
        "outputDir",
        "resume",
        "overwrite",
        "threads",
        "provider",
        "numSamples",
      ].includes(name),
  ) as [string, string | number | boolean][];
  let hash = 0x811c9dc5;
  for (const { ids } of prompts)
    for (let i = 0; i < ids.length; i++) hash = Math.imul(hash ^ (ids[i] as number), 0x01000193);
  return {
    ...Object.fromEntries(names),
    data: `${prompts.length} prompts ${hash >>> 0}`,
    ...(!o.lrSchedulerType.startsWith("constant") && { totalSteps }),
  };
}
