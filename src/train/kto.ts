/**
 * Kahneman-Tversky optimisation (Ethayarajh et al. 2024): a policy learns from completions that are desirable or not,
 * each on its own. With rho = log pi/ref of a completion, and z0 how far the policy is from the reference,
 *
 *     L = 1/n sum w (1 - sigmoid(+- beta (rho - z0)))          + desirable, - not          eq. 7, 8
 *     z0 = max(0, mean log pi/ref (y' | x))                    y': the completion of another prompt; without a gradient
 *
 * w is the weight of the label. `apo_zero_unpaired` (D'Oosterlinck et al. 2024, eq. 7, for rows of their own) has z0 = 0.
 * The mean of z0 is over the micro-batch. A completion and the y' of its prompt are one run of tokens, so the prompt is
 * computed once.
 */
import type { Labelled } from "../data/labels.ts";
import { mapped, type RowList } from "../data/list.ts";
import {
  div,
  expand,
  maximum,
  mean,
  mul,
  sigmoid,
  stopGradient,
  sub,
  sum,
  type Tensor,
  type Tree,
} from "../graph/index.ts";
import { permutation } from "../graph/random.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { TrainError } from "./errors.ts";
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
  weightAdvice,
} from "./preference/label-data.ts";
import { pairDefaults } from "./preference/pair-data.ts";
import { columnsOf, type Run, responseLogProbs } from "./preference/preference-batch.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";

/** Whether the rewards are held against z0. */
export const ktoLossNames = ["kto", "apo_zero_unpaired"] as const;
export type KtoLossName = (typeof ktoLossNames)[number];

export interface KtoLossOptions {
  readonly lossType: KtoLossName;
  /** The pull towards the reference. */
  readonly beta: number;
  readonly desirableWeight: number;
  readonly undesirableWeight: number;
}

export interface KtoOptions extends LabelTrainerOptions, Partial<KtoLossOptions> {}

/** Defaults, as the help texts print them. */
export const ktoDefaults = {
  ...pairDefaults,
  lossType: "kto",
  beta: 0.1,
  desirableWeight: 1,
  undesirableWeight: 1,
  precomputeRefLogProbs: true,
} as const satisfies Partial<KtoOptions>;

/** Loss over a batch of `dpoSpec` whose second column is y', with `desirable`, and `num_items`, the rows of the step. */
export const ktoLoss =
  (config: ModelConfig, o: KtoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const [logps, other] = columnsOf(responseLogProbs(config, params, batch), 2) as [Tensor, Tensor];
    const [reference, otherReference] = columnsOf(batch.reference as Tensor, 2) as [Tensor, Tensor];
    const desirable = batch.desirable as Tensor;
    const items = batch.num_items as Tensor;
    const logRatio = sub(logps, reference);
    const drift = maximum(stopGradient(mean(sub(other, otherReference))), 0);
    const away = o.lossType === "kto" ? sub(logRatio, drift) : logRatio;
    const sign = sub(mul(desirable, 2), 1);
    const losses = sub(1, sigmoid(mul(mul(away, o.beta), sign)));
    return {
      loss: div(sum(mul(losses, rowWeights(desirable, o))), items),
      metrics: {
        ...labelMetrics({ rewards: mul(logRatio, o.beta), logps, desirable }, items),
        ...(o.lossType === "kto" && { kl: div(sum(expand(drift, logps.shape)), items) }),
      },
    };
  };

/** A completion, and one of another prompt. */
export interface KtoRow extends Labelled {
  readonly other: Int32Array;
}

export const ktoRun = ({ prompt, completion, other }: KtoRow): Run => ({
  prompt,
  responses: [completion, other],
});

/** Rows with the completion of another prompt each, drawn by the seed; cut to `maxLength` tokens with the prompt. */
export function withOthers(
  rows: RowList<Labelled>,
  { seed, maxLength }: { readonly seed: number; readonly maxLength: number },
): RowList<KtoRow> {
  const count = rows.length;
  const order = permutation(count, seed, 5);
  const others = new Int32Array(count);
  const at = (i: number) => rows.at(i) as Labelled;
  const isOther = (a: Int32Array, b: Int32Array) => a.length !== b.length || a.some((id, i) => id !== b[i]);
  for (let k = 0; k < count; k++) {
    const row = order[k] as number;
    let next = 1;
    while (
      next < Math.min(count, 8) &&
      !isOther(at(row).prompt, at(order[(k + next) % count] as number).prompt)
    )
      next++;
    others[row] = order[(k + next) % count] as number;
  }
  return mapped(rows, (row, i) => {
    const room = Math.max(1, maxLength - row.prompt.length);
    return { ...row, other: at(others[i] as number).completion.subarray(0, room) };
  });
}

/**
 * Trains a policy on labelled completions.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await kto({ model: await loadModel("my-model"), data: "thumbs.jsonl", beta: 0.1 });
 */
export async function kto(options: KtoOptions, listeners: LabelHooks = {}): Promise<FitResult> {
  const o = withDefaults(ktoDefaults, options);
  checkLabelled(o);
  if (!ktoLossNames.includes(o.lossType))
    throw new TrainError(`loss_type: one of ${ktoLossNames.join(", ")} is required, got ${o.lossType}`);
  const { model, maxLength, train, held, hooks } = await openLabels("kto", o, options, listeners);
  if (train.examples.length < 2)
    throw new TrainError("kto needs at least 2 rows: z0 is made of completions of other prompts");
  const advice = weightAdvice(train.examples, o);
  if (advice !== undefined) listeners.onWarning?.(advice);
  const { lossType, beta, desirableWeight, undesirableWeight, seed } = o;
  const rowsOf = (rows: RowList<Labelled>) => withOthers(rows, { seed, maxLength });
  return trainOnRuns(
    { train: rowsOf(train.examples), held: held && rowsOf(held.examples) },
    {
      model,
      refModel: o.refModel ?? model,
      loss: ktoLoss(model.config, o),
      runOf: ktoRun,
      more: labelArrays,
      sequences: ({ prompt, completion }) => [prompt, completion],
      summary: labelSummary,
      fingerprint: { maxLength, lossType, beta, desirableWeight, undesirableWeight },
    },
    o,
    hooks,
  );
}
