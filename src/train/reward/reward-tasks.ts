/** What a reward model learns from, a row each: pairs, whole rankings, or ratings; their batches and their loss. */
import { type RowList, selected } from "../../data/list.ts";
import { objectiveLabels, overall } from "../../data/objective-labels.ts";
import type { Pair } from "../../data/pair.ts";
import { loadPreferences, type PreferenceDataset, type PreferenceOptions } from "../../data/preferences.ts";
import { loadRankings, type RankingDataset } from "../../data/rankings.ts";
import { loadRatings, type RatingDataset } from "../../data/ratings.ts";
import type { TensorSpec, Tree } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { ResponseParts } from "../../reward/rows.ts";
import { TrainError } from "../errors.ts";
import type { Rows } from "../loop/plan.ts";
import type { Loss } from "../loop/step.ts";
import type { RewardLossType, RewardOptions, rewardDefaults } from "../reward-options.ts";
import { checkLanguageTerm } from "./language-term.ts";
import { layoutOf, type PairLayout, rewardRows, rewardSpec } from "./reward-batch.ts";
import { rankingLoss, rankingRows, rankingSpec, ratingLoss, ratingRows, ratingSpec } from "./reward-lists.ts";
import { rewardLoss } from "./reward-loss.ts";

export type RewardDataset = PreferenceDataset | RankingDataset | RatingDataset;

/** Where a task is made: the model that learns, and how its rows are read. */
export interface TaskPlace {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly reading: PreferenceOptions;
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface RewardTask<Row, D extends RewardDataset = RewardDataset> {
  readonly dataset: D;
  readonly rows: Rows<Row>;
  readonly loss: Loss;
  readonly batchSpec: Tree<TensorSpec>;
  readonly layout: Readonly<Record<string, string | boolean>>;
  /** Responses of a row, as the batch's specification calls their number, and of given rows. */
  readonly slots: number | string;
  slotsOf(rows: readonly Row[]): number;
  /** Prompts with responses, some hundreds, evenly taken. */
  responses(): ResponseParts[];
}

/** The options with their defaults. */
export type FullOptions = RewardOptions & Defaulted;
type Options = FullOptions;
type Defaulted = {
  readonly [K in keyof typeof rewardDefaults & keyof RewardOptions]-?: NonNullable<RewardOptions[K]>;
};

/** Pairs, by the model of Bradley and Terry; each objective has its own labels. */
export async function pairTask(
  o: Options,
  { config, tokenizer, reading, onWarning }: TaskPlace,
): Promise<RewardTask<Pair, PreferenceDataset> & Pick<PreferenceDataset, "pairs">> {
  const read = withRatingMargins(await loadPreferences(o.data, tokenizer, reading), o.ratingMargin);
  const dataset = o.objectives ? read : countedTies(read, o.ties, onWarning);
  const { pairs } = dataset;
  const objectives = o.objectives && [...o.objectives.filter((name) => name !== overall), overall];
  const layout: PairLayout = {
    ...layoutOf(config, factsOf(pairs)),
    ...(objectives && { objectives }),
    ...(o.sftCoefficient > 0 && { language: true }),
    ...(o.gradientPenalty > 0 && { onePrompt: true }),
  };
  if (layout.language) checkLanguageTerm(config, layout);
  const { objectives: _, ...shown } = layout;
  return {
    dataset,
    pairs,
    rows: rewardRows(pairs, layout),
    loss: rewardLoss(config, { ...o, objectives }),
    batchSpec: rewardSpec(layout),
    layout: shown,
    slots: 2,
    slotsOf: () => 2,
    responses: () =>
      sampled(pairs, ({ prompt, chosen, rejected }) => [
        { prompt, response: chosen },
        { prompt, response: rejected },
      ]),
  };
}

/** @throws TrainError for an objective of which no pair says anything, whose head would learn nothing */
function checkLabels(pairs: RowList<Pair>, objectives: readonly string[]): void {
  const said = objectives.map(() => 0);
  for (const pair of pairs)
    for (const [k, label] of objectiveLabels(pair, objectives).entries()) if (label !== 0) said[k] = 1;
  const silent = objectives.filter((_, k) => said[k] === 0);
  if (silent.length > 0)
    throw new TrainError(
      `objectives: of ${silent.join(" and ")} none of ${pairs.length} pairs says which response is better; ` +
        "scores_chosen and scores_rejected hold numbers by objective, or objective names the one that a row is about",
    );
}

/** By the value of `loss_type`. */
export const rewardTasks = {
  async bradley_terry(o: Options, place: TaskPlace) {
    const task = await pairTask(o, place);
    if (o.objectives) checkLabels(task.pairs, o.objectives);
    return task;
  },
  plackett_luce: async (o: Options, { config, tokenizer, reading }: TaskPlace) => {
    const { pooling, encoder, apart } = layoutOf(config);
    const layout = { pooling, encoder, apart };
    const dataset = await loadRankings(o.data, tokenizer, reading);
    return {
      dataset,
      rows: rankingRows(dataset.lists, layout),
      loss: rankingLoss(config),
      batchSpec: rankingSpec(layout),
      layout,
      slots: "S",
      slotsOf: (rows: readonly { responses: readonly unknown[] }[]) =>
        Math.max(...rows.map(({ responses }) => responses.length)),
      responses: () =>
        sampled(dataset.lists, ({ prompt, responses }) =>
          responses.map((response) => ({ prompt, response })),
        ),
    };
  },
  regression: async (o: Options, { config, tokenizer, reading }: TaskPlace) => {
    const { pooling, encoder, apart } = layoutOf(config);
    const layout = { pooling, encoder, apart };
    const dataset = await loadRatings(o.data, tokenizer, reading);
    return {
      dataset,
      rows: ratingRows(dataset.examples, layout),
      loss: ratingLoss(config),
      batchSpec: ratingSpec(layout),
      layout,
      slots: 1,
      slotsOf: () => 1,
      responses: () =>
        sampled(dataset.examples, ({ prompt, completion }) => [{ prompt, response: completion }]),
    };
  },
} as unknown as Readonly<
  Record<RewardLossType, (o: Options, place: TaskPlace) => Promise<RewardTask<unknown>>>
>;

/** What the pairs bring besides their tokens. */
function factsOf(pairs: Iterable<Pair>): Pick<PairLayout, "margin" | "tie"> {
  let [margin, tie] = [false, false];
  for (const pair of pairs) {
    margin ||= pair.margin !== undefined;
    tie ||= pair.tie === true;
  }
  return { margin, tie };
}

/** Pairs that are made of ratings, with a margin in proportion to the difference of the ratings. */
function withRatingMargins(dataset: PreferenceDataset, scale: number): PreferenceDataset {
  if (scale === 0) return dataset;
  const { pairs } = dataset;
  return {
    ...dataset,
    pairs: selected(
      Array.from({ length: pairs.length }, (_, i) => i),
      (i) => {
        const pair = pairs.at(i) as Pair;
        const { rating_difference: difference } = pair.row;
        return typeof difference === "number" && pair.margin === undefined
          ? { ...pair, margin: scale * difference }
          : pair;
      },
    ),
  };
}

/** The pairs without ties, where these are dropped. */
function countedTies(
  dataset: PreferenceDataset,
  ties: NonNullable<RewardOptions["ties"]>,
  onWarning: TaskPlace["onWarning"],
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

const sampledRows = 512;

/** Responses of at most so many rows of a list, evenly taken. */
function sampled<Row>(
  list: { readonly length: number; at(i: number): Row | undefined },
  of: (row: Row) => readonly ResponseParts[],
): ResponseParts[] {
  const step = Math.max(1, list.length / sampledRows);
  const rows: ResponseParts[] = [];
  for (let at = 0; at < list.length; at += step) rows.push(...of(list.at(Math.floor(at)) as Row));
  return rows;
}
