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
import { selected } from "../data/list.ts";
import type { Pair } from "../data/pair.ts";
import { loadPreferences, type PreferenceDataset } from "../data/preferences.ts";
import { evaluateRewardModel, type RewardModelReport } from "../evaluate/reward-model.ts";
import type { Engine } from "../graph/index.ts";
import { type Model, merged } from "../models/load.ts";
import { withScoreHead } from "../models/score-head.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { type CombineOptions, checkCombination } from "../reward/ensemble/combine.ts";
import { statisticsOf, withNormalisation } from "../reward/normalisation.ts";
import { createHeadScorer } from "../reward/scorer.ts";
import { TrainError } from "./errors.ts";
import { type FitResult, fitRows } from "./loop/fit.ts";
import { textModelOf } from "./loop/text-model.ts";
import { type Course, type TrainerHooks, withDefaults } from "./loop/trainer-options.ts";
import { layoutOf, type PairLayout, responseIds, rewardRows, rewardSpec } from "./reward/reward-batch.ts";
import { rewardLoss } from "./reward/reward-loss.ts";
import { type RewardOptions, rewardDefaults } from "./reward-options.ts";

export interface RewardStart extends Course {
  readonly train: PreferenceDataset;
  readonly eval?: PreferenceDataset;
  readonly tokenizer: Tokenizer;
}

export type RewardHooks = TrainerHooks<RewardStart>;

export interface RewardResult extends FitResult {
  /** Of the held-out pairs, when there are some. */
  readonly report?: RewardModelReport;
  /** Held-out pairs, as they were measured. */
  readonly heldOut?: PreferenceDataset["pairs"];
}

/**
 * Trains a reward model.
 *
 * @throws DataError, CheckpointError, RewardError or TrainError with what is required, what came and what to do
 * @example
 * const { model, report } = await reward({ model: await loadModel("my-model"), data: "pairs.jsonl" });
 */
export async function reward(options: RewardOptions, hooks: RewardHooks = {}): Promise<RewardResult> {
  const o = withDefaults(rewardDefaults, options);
  checkCombination(o);
  if (o.heads > 1 && !o.normalizeRewards) throw new TrainError(unnormalised);
  const text = textModelOf(o.model, options, { trainer: "reward", defaultLength: o.maxLength });
  const { tokenizer, maxLength, reading } = text;
  const model = withScoreHead(text.model, {
    seed: o.seed,
    numLabels: o.heads,
    head: o.newHead || o.heads > 1 ? "random" : "keep",
    entries: { ...fresh, ...(o.pooling && { pooling: o.pooling }), ...(o.heads > 1 && ensembleEntries(o)) },
  });
  const load = async (data: RewardOptions["data"]) =>
    countedTies(await loadPreferences(data, tokenizer, { ...o, ...reading }), o.ties, hooks.onWarning);
  const train = await load(o.data);
  const held = o.evalData === undefined ? undefined : await load(o.evalData);
  const layout = layoutOf(model.config, factsOf([train, ...(held ? [held] : [])]));
  const normalizeRows =
    o.normalizeData === undefined
      ? undefined
      : await loadDataset(o.normalizeData, tokenizer, { ...o, ...reading });

  let report: RewardModelReport | undefined;
  const finish = async (trained: Model, engine: Engine): Promise<Model> => {
    let final = merged(trained);
    if (o.normalizeRewards) {
      const rows = normalizeRows
        ? [...normalizeRows.unpacked].map(({ ids }) => ids)
        : responsesOf((held ?? train).pairs);
      final = withNormalisation(
        final,
        (await rawScores(engine, final, rows, o.evalBatchSize)).map(statisticsOf),
      );
    }
    if (held)
      report = await evaluateRewardModel(engine, final, held.pairs, {
        ...(o.evalBatchSize && { batchSize: o.evalBatchSize }),
        combine: o.combine,
        lambda: o.lambda,
      });
    return final;
  };
  const result = await fitRows(
    {
      model,
      loss: rewardLoss(model.config, o),
      batchSpec: rewardSpec(layout),
      rows: rewardRows(train.pairs, layout),
      held: held && rewardRows(held.pairs, layout),
      fingerprint: {
        maxLength,
        ties: o.ties,
        tieShare: o.tieShare,
        centerRewardsCoefficient: o.centerRewardsCoefficient,
        ...(o.heads > 1 && { heads: o.heads }),
        ...layout,
      },
      finish,
    },
    o,
    { ...hooks, onStart: (course) => hooks.onStart?.({ ...course, train, eval: held, tokenizer }) },
  );
  return { ...result, ...(report && { report }), ...(held && { heldOut: held.pairs }) };
}

/** Why members have to be normalised. */
export const unnormalised =
  "normalize_rewards: true is required for an ensemble, whose members' scores are on no common scale otherwise";

/** Entries of config.json that belong to the reward model that training began with. */
const fresh = { mean: undefined, std: undefined, ensemble: undefined };

/** What config.json says of heads that are an ensemble. */
function ensembleEntries({ heads, combine, lambda }: Required<CombineOptions> & { readonly heads: number }) {
  const names = Array.from({ length: heads }, (_, i) => `member ${i + 1}`);
  return {
    ensemble: { combine, lambda },
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}

/** What the pairs bring besides their tokens. */
function factsOf(datasets: readonly PreferenceDataset[]): Pick<PairLayout, "margin" | "tie"> {
  let [margin, tie] = [false, false];
  for (const { pairs } of datasets)
    for (const pair of pairs) {
      margin ||= pair.margin !== undefined;
      tie ||= pair.tie === true;
    }
  return { margin, tie };
}

/** The pairs without ties, where these are dropped. */
function countedTies(
  dataset: PreferenceDataset,
  ties: NonNullable<RewardOptions["ties"]>,
  onWarning: RewardHooks["onWarning"],
): PreferenceDataset {
  if (ties !== "drop") return dataset;
  const { pairs } = dataset;
  const kept = [...pairs].flatMap(({ tie }, i) => (tie ? [] : [i]));
  if (kept.length === pairs.length) return dataset;
  if (kept.length === 0)
    throw new TrainError(
      "reward: all pairs are ties, which ties = drop leaves out; choose davidson or rao_kupper",
    );
  onWarning?.(
    `${pairs.length - kept.length} of ${pairs.length} pairs are ties and are left out; ties = davidson or rao_kupper count them`,
  );
  return { ...dataset, pairs: selected(kept, (i) => pairs.at(i) as Pair) };
}

const normalisedOn = 512; // pairs

/** Rows of both responses of at most so many pairs, evenly taken. */
function responsesOf(pairs: PreferenceDataset["pairs"]): Int32Array[] {
  const step = Math.max(1, pairs.length / normalisedOn);
  const rows: Int32Array[] = [];
  for (let at = 0; at < pairs.length; at += step) {
    const pair = pairs.at(Math.floor(at)) as Pair;
    rows.push(responseIds(pair, "chosen"), responseIds(pair, "rejected"));
  }
  return rows;
}

/** Of each head the scores of all rows, as trained. */
async function rawScores(
  engine: Engine,
  model: Model,
  rows: readonly Int32Array[],
  batchSize: number | undefined,
): Promise<number[][]> {
  const scorer = await createHeadScorer(engine, model, batchSize === undefined ? {} : { batchSize });
  try {
    return await scorer.scores(rows, { raw: true });
  } finally {
    await scorer.dispose();
  }
}
