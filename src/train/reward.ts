/**
 * Reward modelling: a model learns from pairs to give the preferred response the higher score (Bradley and Terry 1952,
 * Stiennon et al. 2020, eq. 1).
 *
 *     L = - 1/n sum log sigmoid(r_chosen - r_rejected - margin)          losses and ties: ../reward/bradley-terry.ts
 *
 * Afterwards the scores' mean and standard deviation on given responses are saved with the model, and its judgement of
 * held-out pairs is measured.
 */
import { loadDataset } from "../data/dataset.ts";
import type { Example } from "../data/example.ts";
import type { RowList } from "../data/list.ts";
import { overall } from "../data/objective-labels.ts";
import type { Pair } from "../data/pair.ts";
import type { PreferenceDataset } from "../data/preferences.ts";
import { evaluateRewardModel, type RewardModelReport } from "../evaluate/reward-model.ts";
import type { Engine } from "../graph/index.ts";
import { type Model, merged } from "../models/load.ts";
import { withScoreHead } from "../models/score-head.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { featureWidth, readsApart } from "../models/towers.ts";
import { checkCombination } from "../reward/ensemble/combine.ts";
import { statisticsOf, withNormalisation } from "../reward/normalisation.ts";
import type { ResponseRow } from "../reward/rows.ts";
import { createHeadScorer } from "../reward/scorer.ts";
import { withFeatureStatistics } from "../reward/unusual.ts";
import { TrainError } from "./errors.ts";
import { type FitResult, fitRows } from "./loop/fit.ts";
import { textModelOf } from "./loop/text-model.ts";
import { type Course, type TrainerHooks, withDefaults } from "./loop/trainer-options.ts";
import { dropoutSpec, withDropout } from "./reward/head-dropout.ts";
import { type FullOptions, pairTask, type RewardDataset, rewardTasks } from "./reward/reward-tasks.ts";
import { type RewardOptions, rewardDefaults } from "./reward-options.ts";

export interface RewardStart extends Course {
  /** Pairs, rankings or ratings, whatever is learned from. */
  readonly train: RewardDataset;
  readonly eval?: PreferenceDataset;
  readonly tokenizer: Tokenizer;
}

export type RewardHooks = TrainerHooks<RewardStart>;

export interface RewardResult extends FitResult {
  /** Of the held-out pairs, when there are some. */
  readonly report?: RewardModelReport;
  /** Held-out pairs, as they were measured. */
  readonly heldOut?: RowList<Pair>;
}

/**
 * The options over their defaults, checked.
 *
 * @throws RewardError or TrainError for settings that contradict each other or cannot be meant
 */
export function rewardSettings(options: RewardOptions): FullOptions {
  const o: FullOptions = withDefaults(rewardDefaults, options);
  checkRewardOptions(o);
  return o;
}

/**
 * Trains a reward model.
 *
 * @throws DataError, CheckpointError, RewardError or TrainError with what is required, what came and what to do
 * @example
 * const { model, report } = await reward({ model: await loadModel("my-model"), data: "pairs.jsonl" });
 */
export async function reward(options: RewardOptions, hooks: RewardHooks = {}): Promise<RewardResult> {
  const o = rewardSettings(options);
  const text = textModelOf(o.model, options, { trainer: "reward", defaultLength: o.maxLength });
  const { tokenizer, maxLength, reading } = text;
  const names = headNamesOf(o);
  const model = withScoreHead(text.model, {
    seed: o.seed,
    numLabels: names.length,
    head: o.newHead || names.length > 1 ? "random" : "keep",
    entries: {
      ...fresh,
      ...(o.pooling && { pooling: o.pooling }),
      ...(o.encoder && { reward_encoder: o.encoder === "joint" ? undefined : o.encoder }),
      ...(names.length > 1 && severalHeads(names, o)),
    },
  });
  if (o.gradientPenalty > 0 && readsApart(model.config))
    throw new TrainError(
      "gradient_penalty: encoder joint is required, of which it is the slope by prompt and response",
    );
  const place = {
    config: model.config,
    tokenizer,
    reading: { ...o, ...reading },
    onWarning: hooks.onWarning,
  };
  const task = await rewardTasks[o.lossType](o, place);
  const held =
    o.evalData === undefined
      ? undefined
      : await pairTask({ ...o, data: o.evalData, gradientPenalty: 0, sftCoefficient: 0 }, place);
  const normalizeRows =
    o.normalizeData === undefined
      ? undefined
      : await loadDataset(o.normalizeData, tokenizer, { ...o, ...reading });

  let report: RewardModelReport | undefined;
  const finish = async (trained: Model, engine: Engine): Promise<Model> => {
    let final = merged(trained);
    const batchSize = o.evalBatchSize && { batchSize: o.evalBatchSize };
    if (o.normalizeRewards) {
      const rows = normalizeRows ? [...normalizeRows.unpacked].map(partsOf) : (held ?? task).responses();
      final = withNormalisation(
        final,
        (await rawScores(engine, final, rows, o.evalBatchSize)).map(statisticsOf),
      );
    }
    if (o.featureStatistics)
      final = await withFeatureStatistics(engine, final, task.responses(), batchSize || {});
    if (held)
      report = await evaluateRewardModel(engine, final, held.pairs, {
        ...batchSize,
        ...(o.objectives ? { objectives: names } : { combine: o.combine, lambda: o.lambda }),
      });
    return final;
  };
  const { seed } = o;
  const dropout = { share: o.headDropout, heads: names.length, width: featureWidth(model.config), seed };
  const isDropping = o.headDropout > 0;
  const result = await fitRows(
    {
      model,
      loss: task.loss,
      batchSpec: { ...task.batchSpec, ...(isDropping && { keep: dropoutSpec(dropout, task.slots) }) },
      rows: isDropping ? withDropout(task.rows, dropout, task.slotsOf) : task.rows,
      held: held?.rows,
      heldTask: held && { loss: held.loss, batchSpec: held.batchSpec },
      fingerprint: {
        maxLength,
        ties: o.ties,
        tieShare: o.tieShare,
        centerRewardsCoefficient: o.centerRewardsCoefficient,
        ...(names.length > 1 && { heads: names.join() }),
        ...(o.lossType !== "bradley_terry" && { lossType: o.lossType }),
        ...(o.labelSmoothing > 0 && { labelSmoothing: o.labelSmoothing }),
        ...(isDropping && { headDropout: o.headDropout }),
        ...(o.gradientPenalty > 0 && { gradientPenalty: o.gradientPenalty }),
        ...(o.sftCoefficient > 0 && { sftCoefficient: o.sftCoefficient }),
        ...task.layout,
      },
      finish,
    },
    o,
    {
      ...hooks,
      onStart: (course) =>
        hooks.onStart?.({ ...course, train: task.dataset, ...(held && { eval: held.dataset }), tokenizer }),
    },
  );
  return { ...result, ...(report && { report }), ...(held && { heldOut: held.pairs }) };
}

/** Why members have to be normalised. */
export const unnormalised =
  "normalize_rewards: true is required for an ensemble, whose members' scores are on no common scale otherwise";

/** @throws TrainError for options that cannot be meant together */
function checkRewardOptions(o: FullOptions): void {
  checkCombination(o);
  if (o.heads > 1 && !o.normalizeRewards) throw new TrainError(unnormalised);
  if (!(o.headDropout >= 0 && o.headDropout < 1))
    throw new TrainError(`head_dropout: a share from 0 to below 1 is required, got ${o.headDropout}`);
  if (!(o.gradientPenalty >= 0))
    throw new TrainError(`gradient_penalty: a number of at least 0 is required, got ${o.gradientPenalty}`);
  if (!(o.sftCoefficient >= 0))
    throw new TrainError(`sft_coefficient: a number of at least 0 is required, got ${o.sftCoefficient}`);
  const refuse = (what: string, why: string) => {
    throw new TrainError(`${what}: ${why}`);
  };
  if (o.objectives && o.heads > 1)
    refuse(
      "objectives",
      "heads are members or objectives, not both; train members with backbones of their own",
    );
  if (o.objectives && o.lossType !== "bradley_terry")
    refuse("objectives", "pairs are required, loss_type bradley_terry");
  if (o.sftCoefficient > 0 && o.lossType !== "bradley_terry")
    refuse(
      "sft_coefficient",
      "pairs are required, loss_type bradley_terry: it makes the chosen answer likelier",
    );
  if (o.gradientPenalty > 0 && (o.encoder === "separate" || o.encoder === "siamese"))
    refuse(
      "gradient_penalty",
      `encoder joint is required, of which it is the slope by prompt and response, got ${o.encoder}`,
    );
  if (o.gradientPenalty > 0 && o.lossType !== "bradley_terry")
    refuse(
      "gradient_penalty",
      "pairs are required, loss_type bradley_terry: it is a penalty on their margins",
    );
}

/** What the model's scores are called. */
const headNamesOf = ({ heads, objectives }: FullOptions): string[] =>
  objectives
    ? [...objectives.filter((name) => name !== overall), overall]
    : Array.from({ length: heads }, (_, i) => `member ${i + 1}`);

/** Entries of config.json that belong to the reward model that training began with. */
const fresh = {
  mean: undefined,
  std: undefined,
  ensemble: undefined,
  objectives: undefined,
  feature_statistics: undefined,
};

/** What config.json says of heads that are an ensemble, or objectives. */
function severalHeads(names: readonly string[], { objectives, combine, lambda }: FullOptions) {
  return {
    ...(objectives ? { objectives: { weights: { [overall]: 1 } } } : { ensemble: { combine, lambda } }),
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}

/** A row as a prompt, and what is learned of it. */
function partsOf({ ids, counts }: Example): ResponseRow {
  const start = counts.indexOf(1);
  return start < 1 ? ids : { prompt: ids.subarray(0, start), response: ids.subarray(start) };
}

/** Of each head the scores of all rows, as trained. */
async function rawScores(
  engine: Engine,
  model: Model,
  rows: readonly ResponseRow[],
  batchSize: number | undefined,
): Promise<number[][]> {
  const scorer = await createHeadScorer(engine, model, batchSize === undefined ? {} : { batchSize });
  try {
    return await scorer.scores(rows, { raw: true });
  } finally {
    await scorer.dispose();
  }
}
