/**
 * Reward models from more than pairs: whole rankings, by the likelihood of Plackett and Luce, and ratings, by regression.
 *
 *     plackett_luce    L = - 1/n sum over rankings of log P(the order)        ../../reward/plackett-luce.ts
 *     regression       L = 1/n sum (r - z)^2          z = (rating - mean) / std of the ratings that are trained on
 *
 * n counts rankings, or ratings. `accuracy` is the share of the lists whose best-ranked response has the highest score.
 */
import type { RowList } from "../../data/list.ts";
import type { RankedList } from "../../data/rankings.ts";
import type { RatedExample } from "../../data/ratings.ts";
import {
  addAll,
  argmax,
  cast,
  div,
  equal,
  greaterEqual,
  hostArray,
  max,
  min,
  mul,
  reshape,
  square,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  transpose,
  where,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { statisticsOf } from "../../reward/normalisation.ts";
import { plackettLuceLosses } from "../../reward/plackett-luce.ts";
import type { Rows } from "../loop/plan.ts";
import type { Loss } from "../loop/step.ts";
import { collateGroups, groupSpec, shapeOf, type TokenLayout } from "./reward-batch.ts";
import { groupStates, headScores } from "./reward-loss.ts";

/** The rank of a slot that a list does not fill. */
const none = -1;

/** Rankings as the rows of a plan: [S] slots for the responses of a list. */
export const rankingRows = (lists: RowList<RankedList>, layout: TokenLayout): Rows<RankedList> => ({
  list: lists,
  sequences: ({ prompt, responses }) => responses.flatMap((ids) => [prompt, ids]),
  shape: (list) => shapeOf(list, layout),
  items: () => 1,
  sources: ({ source }) => [source],
  collate: (rows) => {
    const slots = Math.max(...rows.map(({ responses }) => responses.length));
    const ranks = rows.flatMap(({ ranks }) => Array.from({ length: slots }, (_, i) => ranks[i] ?? none));
    return {
      ...collateGroups(rows, slots, layout),
      ranks: hostArray("float32", [rows.length, slots], ranks),
    };
  },
});

export const rankingSpec = (layout: TokenLayout): Tree<TensorSpec> => ({
  ...groupSpec("S", layout),
  ranks: { dtype: "float32", shape: ["B", "S"] },
});

/** Scores [B, S] of each head. */
const listScores = (config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>, slots: number | string) =>
  headScores(
    config,
    params,
    groupStates(config, params, batch, slots),
    slots,
    (batch as Record<string, Tensor | undefined>).keep,
  ).map((scores) => transpose(scores, [1, 0]));

/** The loss over a batch of `rankingSpec`; of several heads the mean. */
export const rankingLoss =
  (config: ModelConfig): Loss =>
  (params, batch) => {
    const { ranks, num_items } = batch as Record<"ranks" | "num_items", Tensor>;
    const heads = listScores(config, params, batch, "S");
    const losses = heads.map((scores) => div(sum(plackettLuceLosses(scores, ranks)), num_items));
    const scores = mul(addAll(heads), 1 / heads.length); // [B, S]
    const isThere = greaterEqual(ranks, 0);
    const top = argmax(where(isThere, scores, -1e30), -1); // [B]
    const right = equal(top, argmax(where(isThere, mul(ranks, -1), -1e30), -1));
    return {
      loss: mul(addAll(losses), 1 / heads.length),
      metrics: {
        accuracy: div(sum(cast(right, "float32")), num_items),
        min_reward: min(where(isThere, scores, 1e30)),
        max_reward: max(where(isThere, scores, -1e30)),
      },
    };
  };

/** Ratings as the rows of a plan; a target is a rating in deviations from the mean of those that are trained on. */
export function ratingRows(examples: RowList<RatedExample>, layout: TokenLayout): Rows<RatedExample> {
  const { mean, std } = statisticsOf([...examples].map(({ rating }) => rating));
  const groupOf = ({ prompt, completion }: RatedExample) => ({ prompt, responses: [completion] });
  return {
    list: examples,
    sequences: ({ prompt, completion }) => [prompt, completion],
    shape: (example) => shapeOf(groupOf(example), layout),
    items: () => 1,
    sources: ({ source }) => [source],
    collate: (rows) => ({
      ...collateGroups(rows.map(groupOf), 1, layout),
      target: hostArray(
        "float32",
        [rows.length],
        rows.map(({ rating }) => (rating - mean) / std),
      ),
    }),
  };
}

export const ratingSpec = (layout: TokenLayout): Tree<TensorSpec> => ({
  ...groupSpec(1, layout),
  target: { dtype: "float32", shape: ["B"] },
});

/** The loss over a batch of `ratingSpec`; of several heads the mean. */
export const ratingLoss =
  (config: ModelConfig): Loss =>
  (params, batch) => {
    const { target, num_items } = batch as Record<"target" | "num_items", Tensor>;
    const heads = listScores(config, params, batch, 1).map((scores) => reshape(scores, ["B"]));
    const losses = heads.map((scores) => div(sum(square(sub(scores, target))), num_items));
    const scores = mul(addAll(heads), 1 / heads.length);
    return {
      loss: mul(addAll(losses), 1 / heads.length),
      metrics: {
        min_reward: min(scores),
        mean_reward: div(sum(scores), num_items),
        max_reward: max(scores),
      },
    };
  };
