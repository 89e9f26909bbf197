/**
 * Process rewards: a model learns of each step of a solution whether it is right (Uesato et al. 2022; Lightman et al.
 * 2023), by cross-entropy at the last token of the step:
 *
 *     L = - 1/n sum over steps of log p(label | prompt, steps up to this one)        n: steps with a label
 *
 * As a reward it gives the smallest probability of a right step, their product, or the last (../../reward/process.ts).
 */
import type { DataInput } from "../../data/input.ts";
import type { LoadOptions } from "../../data/node-load.ts";
import { loadSteps, type StepwiseDataset, type StepwiseExample } from "../../data/steps.ts";
import {
  argmax,
  cast,
  div,
  equal,
  gather,
  type HostArray,
  hostArray,
  neg,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { type Model, merged } from "../../models/load.ts";
import { hiddenStates, scoresOf, type TokenBatch, tokenSpec } from "../../models/model.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { processDefaults, processEntries } from "../../reward/process.ts";
import { paddedRows } from "../../reward/rows.ts";
import { type FitResult, fitRows } from "../loop/fit.ts";
import type { Rows } from "../loop/plan.ts";
import type { Loss } from "../loop/step.ts";
import { textModelOf } from "../loop/text-model.ts";
import {
  type Course,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
  withDefaults,
} from "../loop/trainer-options.ts";

export interface PrmOptions extends TrainerOptions, Pick<LoadOptions, "onBadRow" | "format" | "signal"> {
  /** A language model, which gets a head, or a process reward model. */
  readonly model: Model;
  /** Rows of prompt, completions (the steps) and labels. */
  readonly data: DataInput;
  readonly evalData?: DataInput;
  readonly maxLength?: number;
  /** What ends a step. Default: a line break. */
  readonly stepSeparator?: string;
  /** Learn from the last step of each solution alone. Default false. */
  readonly trainOnLastStepOnly?: boolean;
}

/** Defaults, as the help texts print them. */
export const prmDefaults = {
  ...trainerDefaults,
  learningRate: 1e-5,
  maxLength: 1024,
  stepSeparator: processDefaults.stepSeparator,
  trainOnLastStepOnly: false,
} as const satisfies Partial<PrmOptions>;

export interface PrmStart extends Course {
  readonly train: StepwiseDataset;
  readonly eval?: StepwiseDataset;
}

/**
 * Trains a process reward model.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 */
export async function prm(options: PrmOptions, hooks: TrainerHooks<PrmStart> = {}): Promise<FitResult> {
  const o = withDefaults(prmDefaults, options);
  const text = textModelOf(o.model, options, { trainer: "prm", defaultLength: o.maxLength });
  const { stepSeparator } = o;
  const model = withScoreHead(text.model, {
    seed: o.seed,
    numLabels: 2,
    head: o.model.config.raw.process === undefined ? "random" : "keep",
    entries: {
      ...processEntries(stepSeparator),
      mean: undefined,
      std: undefined,
      reward_encoder: undefined,
    },
  });
  const load = (data: DataInput, lastStepOnly: boolean) =>
    loadSteps(data, text.tokenizer, { ...o, ...text.reading, stepSeparator, lastStepOnly });
  const train = await load(o.data, o.trainOnLastStepOnly);
  const held = o.evalData === undefined ? undefined : await load(o.evalData, false);
  return fitRows(
    {
      model,
      loss: stepLoss(model.config),
      batchSpec: stepSpec,
      rows: stepRows(train),
      held: held && stepRows(held),
      fingerprint: { maxLength: text.maxLength, stepSeparator, trainOnLastStepOnly: o.trainOnLastStepOnly },
      finish: async (trained) => merged(trained),
    },
    o,
    { ...hooks, onStart: (course) => hooks.onStart?.({ ...course, train, ...(held && { eval: held }) }) },
  );
}

const list: TensorSpec = { dtype: "int64", shape: ["N"] };

/** {input_ids [B, T], lengths [B], places [N], labels [N]}: where steps end among the B T tokens, and what they are. */
export const stepSpec: Tree<TensorSpec> = {
  input_ids: tokenSpec(),
  lengths: tokenSpec(["B"]),
  places: list,
  labels: list,
};

/** Solutions as the rows of a plan; the items are steps. */
export const stepRows = ({ examples }: Pick<StepwiseDataset, "examples">): Rows<StepwiseExample> => ({
  list: examples,
  sequences: ({ ids }) => [ids],
  items: ({ labels }) => labels.length,
  sources: ({ source }) => [source],
  collate: (rows): Tree<HostArray> => {
    const batch = paddedRows(rows.map(({ ids }) => ids));
    const length = batch.input_ids.shape[1] as number;
    const numbers = (values: readonly number[]) =>
      hostArray("int64", [values.length], BigInt64Array.from(values, BigInt));
    return {
      ...batch,
      places: numbers(rows.flatMap(({ places }, r) => places.map((place) => r * length + place))),
      labels: numbers(rows.flatMap(({ labels }) => labels.map(Number))),
    };
  },
});

/** The loss over a batch of `stepSpec` and `num_items`, the steps of the whole batch. */
export const stepLoss =
  (config: ModelConfig): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { places, labels, num_items } = batch as Record<"places" | "labels" | "num_items", Tensor>;
    const hidden = hiddenStates(config, params, batch as unknown as TokenBatch); // [B T, C]
    const scores = scoresOf(config, params, gather(hidden, places)); // [N, 2]
    const right = equal(argmax(scores, -1), labels);
    return {
      loss: div(neg(sum(tokenLogProbs(scores, labels))), num_items),
      metrics: { accuracy: div(sum(cast(right, "float32")), num_items) },
    };
  };
