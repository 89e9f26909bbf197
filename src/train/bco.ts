/**
 * Binary classifier optimisation (Jung et al. 2024): a logistic classifier of desirable and undesirable completions
 * whose logit is the implicit reward r = beta log pi/ref, less their mean so far.
 *
 *     L = - 1/n sum w log sigmoid(+- (r - delta))          + desirable, - not          eq. 6, algorithm 1
 *     delta = the mean of r over all rows seen so far, those of the batch among them; without a gradient
 *
 * The paper's weights by an estimated density ratio of prompts are not here; `undesirable_weight` is one for all.
 */
import type { Labelled } from "../data/labels.ts";
import {
  add,
  type Dim,
  dimValue,
  div,
  expand,
  logSigmoid,
  mean,
  mul,
  neg,
  stopGradient,
  sub,
  sum,
  type Tensor,
  type Tree,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Dials } from "./loop/dials.ts";
import type { FitResult } from "./loop/fit.ts";
import type { Loss } from "./loop/step.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import {
  checkLabelled,
  type LabelHooks,
  type LabelTrainerOptions,
  labelArrays,
  labelMetrics,
  labelSummary,
  openLabels,
  rowWeights,
} from "./preference/label-data.ts";
import { pairDefaults } from "./preference/pair-data.ts";
import { columnsOf, type Run, responseLogProbs } from "./preference/preference-batch.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";

export interface BcoLossOptions {
  /** The pull towards the reference. */
  readonly beta: number;
  readonly desirableWeight: number;
  readonly undesirableWeight: number;
}

export interface BcoOptions extends LabelTrainerOptions, Partial<BcoLossOptions> {}

/** Defaults, as the help texts print them. */
export const bcoDefaults = {
  ...pairDefaults,
  learningRate: 5e-7,
  beta: 0.1,
  desirableWeight: 1,
  undesirableWeight: 1,
  precomputeRefLogProbs: true,
} as const satisfies Partial<BcoOptions>;

/** A completion alone. */
export const bcoBatches = { columns: 1 } as const;
export const bcoRun = ({ prompt, completion }: Pick<Labelled, "prompt" | "completion">): Run => ({
  prompt,
  responses: [completion],
});

/** Loss over a batch of `dpoSpec(bcoBatches)` with `desirable`, the dials, and `num_items`, the rows of the step. */
export const bcoLoss =
  (config: ModelConfig, o: BcoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const [logps] = columnsOf(responseLogProbs(config, params, batch), 1) as [Tensor];
    const [reference] = columnsOf(batch.reference as Tensor, 1) as [Tensor];
    const { desirable, num_items: items, delta_mean, delta_count } = batch as Record<string, Tensor>;
    const rewards = mul(sub(logps, reference), o.beta);
    const count = dimValue(logps.shape[0] as Dim);
    const share = div(count, add(count, delta_count as Tensor));
    const delta = stopGradient(
      add(delta_mean as Tensor, mul(sub(mean(rewards), delta_mean as Tensor), share)),
    );
    const sign = sub(mul(desirable as Tensor, 2), 1);
    const losses = neg(logSigmoid(mul(sub(rewards, delta), sign)));
    const over = (x: Tensor) => div(sum(x), items as Tensor);
    return {
      loss: over(mul(losses, rowWeights(desirable as Tensor, o))),
      metrics: {
        ...labelMetrics({ rewards, logps, desirable: desirable as Tensor }, items as Tensor),
        "rewards/mean": over(rewards),
        delta: over(expand(delta, logps.shape)),
      },
    };
  };

/** The running mean of the rewards; held-out rows do not move it. */
export const bcoDials: Dials = {
  start: { delta_mean: 0, delta_count: 0 },
  batch: (now, training) => (training ? now : { ...now, delta_count: 1e30 }),
  next({ delta_mean = 0, delta_count = 0 }, { items, metrics }) {
    const count = delta_count + items;
    const batchMean = metrics["rewards/mean"] as number;
    return { delta_mean: delta_mean + ((batchMean - delta_mean) * items) / count, delta_count: count };
  },
};

/**
 * Trains a policy on labelled completions.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await bco({ model: await loadModel("my-model"), data: "thumbs.jsonl", beta: 0.1 });
 */
export async function bco(options: BcoOptions, listeners: LabelHooks = {}): Promise<FitResult> {
  const o = withDefaults(bcoDefaults, options);
  checkLabelled(o);
  const { model, maxLength, train, held, hooks } = await openLabels("bco", o, options, listeners);
  const { beta, desirableWeight, undesirableWeight } = o;
  return trainOnRuns(
    { train: train.examples, held: held?.examples },
    {
      model,
      refModel: o.refModel ?? model,
      loss: bcoLoss(model.config, o),
      runOf: bcoRun,
      batches: bcoBatches,
      more: labelArrays,
      sequences: ({ prompt, completion }) => [prompt, completion],
      dials: bcoDials,
      summary: labelSummary,
      fingerprint: { maxLength, beta, desirableWeight, undesirableWeight },
    },
    o,
    hooks,
  );
}
