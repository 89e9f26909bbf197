/**
 * A process reward model as a `Reward`: the probabilities p_i that the steps of a response are right, as one number.
 *
 *     min        the weakest step (Lightman et al. 2023)
 *     product    all of them: sum_i log p_i would order alike
 *     last       the last step, an outcome reward that has seen the others
 *     mean       their mean
 *
 * Steps end with the separator that the model was trained with, which is in `process` of config.json.
 */
import { encodeSteps } from "../data/steps.ts";
import {
  compile,
  type Dim,
  type Engine,
  type HostArray,
  reshape,
  slice,
  softmax,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Model } from "../models/load.ts";
import { hiddenStates, parameterSpecs, scoresOf } from "../models/model.ts";
import { checked, type OpenedReward, RewardError, type RewardInput } from "./reward.ts";
import { type RowBatch, rowBatchSpec } from "./reward-model.ts";
import { paddedRows } from "./rows.ts";

export const processDefaults = { stepSeparator: "\n", aggregate: "min" } as const;

const aggregates = {
  min: (p: readonly number[]) => Math.min(...p),
  product: (p: readonly number[]) => p.reduce((a, b) => a * b, 1),
  last: (p: readonly number[]) => p.at(-1) as number,
  mean: (p: readonly number[]) => p.reduce((a, b) => a + b, 0) / p.length,
};
export type Aggregate = keyof typeof aggregates;
export const aggregateNames = Object.keys(aggregates) as [Aggregate, ...Aggregate[]];

/** Entries of config.json that make a model with two labels a process reward model. */
export const processEntries = (stepSeparator: string) => ({
  process: { step_separator: stepSeparator },
  id2label: { 0: "wrong", 1: "right" },
  label2id: { wrong: 0, right: 1 },
});

/** Whether a model rewards steps. */
export const isProcessModel = ({ raw }: Pick<ModelConfig, "raw">): boolean => raw.process !== undefined;

export interface ProcessReward extends OpenedReward {
  /** P(right) of each step of each response. */
  steps(batch: readonly RewardInput[]): Promise<number[][]>;
}

/**
 * Opens a process reward model; a response that is longer than its context is judged by the steps within it.
 *
 * @throws RewardError when the model is none, or has no tokenizer
 */
export async function processReward(
  model: Model,
  {
    engine,
    aggregate = processDefaults.aggregate,
    batchSize = 16,
    name = model.name,
  }: {
    readonly engine: Engine;
    readonly aggregate?: Aggregate;
    readonly batchSize?: number;
    readonly name?: string;
  },
): Promise<ProcessReward> {
  const { config, parameters, tokenizer } = model;
  if (!isProcessModel(config))
    throw new RewardError(`${name}: a process reward model is required; train one with attune prm`);
  if (!tokenizer) throw new RewardError(`${name}: a tokenizer is required to score text, the model has none`);
  const { step_separator: separator = processDefaults.stepSeparator } = config.raw.process as {
    step_separator?: string;
  };
  const program = await engine.load(
    compile(
      (params, batch) => {
        const { input_ids, lengths } = batch as unknown as RowBatch;
        const [rows, length] = input_ids.shape as [Dim, Dim];
        const scores = scoresOf(config, params, hiddenStates(config, params, { input_ids, lengths })); // [R T, 2]
        return { right: reshape(slice(softmax(scores), 1, 1, 2), [rows, length]) };
      },
      [parameterSpecs(config), rowBatchSpec()] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  const steps = async (batch: readonly RewardInput[]): Promise<number[][]> => {
    const rows = batch.map(({ prompt, completion }) => {
      const texts = completion.split(separator).filter((step) => step.trim() !== "");
      const { ids, ends } = encodeSteps(
        prompt,
        texts.length > 0 ? texts : [completion],
        tokenizer,
        separator,
      );
      const within = ends.filter((end) => end < config.maxPositions);
      const kept = ids.slice(0, config.maxPositions);
      return { ids: kept, ends: within.length > 0 ? within : [kept.length - 1] };
    });
    const out: number[][] = [];
    for (let from = 0; from < rows.length; from += batchSize) {
      const chosen = rows.slice(from, from + batchSize);
      const { data, shape } = (await engine.run(program, [{}, paddedRows(chosen.map(({ ids }) => ids))]))
        .right as HostArray<"float32">;
      for (const [r, { ends }] of chosen.entries())
        out.push(ends.map((end) => data[r * (shape[1] as number) + end] as number));
    }
    return out;
  };
  return {
    name,
    steps,
    score: checked(async (batch) => (await steps(batch)).map(aggregates[aggregate]), name),
    dispose: () => engine.unload(program),
  };
}
