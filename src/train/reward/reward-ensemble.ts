/**
 * An ensemble of reward models (Coste et al. 2023): members are trained on the same pairs and differ by the seed of
 * their head and by the order of their data; or they are heads of one model, which share its backbone and its order.
 *
 * Each member of its own is a run in `members/N` of the output folder, which can be resumed and loaded alone;
 * `ensemble.json` joins them (../../reward/ensemble/node-folder.ts). Heads of one model are several labels of one
 * checkpoint.
 */
import { join } from "node:path";
import { evaluateRewardModels } from "../../evaluate/reward-model.ts";
import { createEngine } from "../../graph/node.ts";
import type { Model } from "../../models/load.ts";
import { combineDefaults } from "../../reward/ensemble/combine.ts";
import { writeEnsemble } from "../../reward/ensemble/node-folder.ts";
import { TrainError } from "../errors.ts";
import { type RewardHooks, type RewardResult, reward, rewardSettings, unnormalised } from "../reward.ts";
import type { RewardOptions } from "../reward-options.ts";

export interface RewardEnsembleOptions extends Omit<RewardOptions, "heads"> {
  /** At least 2; four or five are enough. */
  readonly members: number;
  /** Members are heads of one model, which costs no more than one. Default false. */
  readonly sharedBackbone?: boolean;
}

export interface RewardEnsembleResult extends RewardResult {
  /** The members; one model with several scores when they share its backbone. `model` is the first. */
  readonly members: readonly Model[];
}

/** @throws RewardError or TrainError for settings that contradict each other or cannot be meant */
export function checkEnsemble({ members, sharedBackbone, ...options }: RewardEnsembleOptions): void {
  if (!(Number.isInteger(members) && members >= 2))
    throw new TrainError(`members: a whole number of at least 2 is required, got ${members}`);
  if (options.normalizeRewards === false) throw new TrainError(unnormalised);
  rewardSettings(sharedBackbone ? { ...options, heads: members } : options);
}

/**
 * Trains an ensemble of reward models, one after the other.
 *
 * @throws what `reward` throws, and TrainError for fewer than two members
 * @example
 * await rewardEnsemble({ model: await loadModel("my-model"), data: "pairs.jsonl", members: 5, outputDir: "judges" });
 * const careful = await openReward("ensemble:judges?combine=uwo", { engine });
 */
export async function rewardEnsemble(
  { members: count, sharedBackbone = false, ...options }: RewardEnsembleOptions,
  hooks: RewardHooks = {},
): Promise<RewardEnsembleResult> {
  checkEnsemble({ members: count, sharedBackbone, ...options });
  if (sharedBackbone) {
    const result = await reward({ ...options, heads: count }, hooks);
    return { ...result, members: [result.model] };
  }
  const {
    outputDir,
    seed = 42,
    combine = combineDefaults.combine,
    lambda = combineDefaults.lambda,
  } = options;
  const own = options.engine ? undefined : await createEngine(options);
  const engine = options.engine ?? (own as NonNullable<typeof own>);
  try {
    const results: RewardResult[] = [];
    for (let i = 0; i < count; i++) {
      const result = await reward(
        {
          ...options,
          engine,
          seed: seed + i,
          newHead: true,
          ...(outputDir !== undefined && { outputDir: memberDir(outputDir, i) }),
        },
        memberHooks(hooks, i, count),
      );
      results.push(result);
      if (result.reason === "stopped") break;
    }
    const last = results.at(-1) as RewardResult;
    const models = results.map(({ model }) => model);
    const whole = { ...last, model: models[0] as Model, members: models };
    if (last.reason === "stopped") return whole;
    if (outputDir !== undefined)
      await writeEnsemble(outputDir, { members: models.map((_, i) => `members/${i + 1}`), combine, lambda });
    const report =
      last.heldOut && (await evaluateRewardModels(engine, models, last.heldOut, { combine, lambda }));
    return { ...whole, steps: results.reduce((n, { steps }) => n + steps, 0), ...(report && { report }) };
  } finally {
    await own?.dispose();
  }
}

const memberDir = (outputDir: string, i: number): string => join(outputDir, "members", String(i + 1));

/** The hooks of one member as those of the whole: its steps come after those of the members before it. */
function memberHooks(hooks: RewardHooks, i: number, count: number): RewardHooks {
  return {
    ...hooks,
    onStart: (start) => {
      if (i === 0) hooks.onStart?.({ ...start, totalSteps: count * start.totalSteps });
    },
    onStep: ({ step, totalSteps, metrics }) =>
      hooks.onStep?.({
        step: i * totalSteps + step,
        totalSteps: count * totalSteps,
        metrics: { ...metrics, member: i + 1 },
      }),
    onWarning: (text) => hooks.onWarning?.(`member ${i + 1}: ${text}`),
  };
}
