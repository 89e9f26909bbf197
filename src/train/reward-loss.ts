/**
 * The loss of a reward model over a batch of pairs: both responses in one pass, and of each only the pooled hidden
 * state goes through the head; no token is scored that is not read.
 */
import type { RowList } from "../data/list.ts";
import { type Pair, pairLength } from "../data/pair.ts";
import {
  type HostArray,
  hostArray,
  reshape,
  slice,
  type Tensor,
  type TensorSpec,
  type Tree,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { tokenSpec } from "../models/model.ts";
import { type PairLossOptions, pairLoss } from "../reward/bradley-terry.ts";
import { rewardsOf } from "../reward/reward-model.ts";
import { paddedRows } from "../reward/scorer.ts";
import type { Rows } from "./plan.ts";
import type { Loss } from "./step.ts";

/** What of pairs a loss reads besides their tokens. */
export interface PairFacts {
  readonly margin: boolean;
  readonly tie: boolean;
}

const perPair: TensorSpec = { dtype: "float32", shape: ["B"] };

/** B pairs: row [0, b] is the chosen response of pair b, row [1, b] the rejected one, of at most T tokens. */
export const rewardSpec = ({ margin, tie }: PairFacts): Record<string, TensorSpec> => ({
  input_ids: tokenSpec([2, "B", "T"]),
  lengths: tokenSpec([2, "B"]),
  ...(margin && { margin: perPair }),
  ...(tie && { tie: perPair }),
});

/** Loss over a batch of `rewardSpec` and `num_items`, the pairs of the whole step. */
export const rewardLoss =
  (config: ModelConfig, options: PairLossOptions = {}): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { input_ids, lengths, margin, tie, num_items } = batch as Record<string, Tensor | undefined> &
      Record<"input_ids" | "lengths" | "num_items", Tensor>;
    const [, pairs, length] = input_ids.shape as [number, string, string];
    const rewards = rewardsOf(config, params, {
      input_ids: reshape(input_ids, [`2*${pairs}`, length]),
      lengths: reshape(lengths, [`2*${pairs}`]),
    });
    const sides = reshape(rewards, [2, pairs]);
    const [chosen, rejected] = [0, 1].map((side) => reshape(slice(sides, 0, side, side + 1), [pairs])) as [
      Tensor,
      Tensor,
    ];
    return pairLoss({ chosen, rejected, margin, tie }, num_items, options);
  };

/** Prompt and response as one row of ids. */
export function responseIds({ prompt, ...responses }: Pair, side: "chosen" | "rejected"): Int32Array {
  const ids = new Int32Array(prompt.length + responses[side].length);
  ids.set(prompt);
  ids.set(responses[side], prompt.length);
  return ids;
}

/** Pairs as the rows of a plan. */
export const rewardRows = (pairs: RowList<Pair>, { margin, tie }: PairFacts): Rows<Pair> => ({
  list: pairs,
  sequences: (pair) => [responseIds(pair, "chosen"), responseIds(pair, "rejected")],
  shape: (pair) => ({ rows: 2, length: pairLength(pair) }),
  items: () => 1,
  sources: ({ source }) => [source],
  collate: (rows) => collateRewards(rows, { margin, tie }),
});

export function collateRewards(rows: readonly Pair[], { margin, tie }: PairFacts): Record<string, HostArray> {
  const sides = (["chosen", "rejected"] as const).flatMap((side) =>
    rows.map((pair) => responseIds(pair, side)),
  );
  const { input_ids, lengths } = paddedRows(sides);
  const perPair = (of: (pair: Pair) => number) => hostArray("float32", [rows.length], rows.map(of));
  return {
    input_ids: { ...input_ids, shape: [2, rows.length, input_ids.shape[1] as number] },
    lengths: { ...lengths, shape: [2, rows.length] },
    ...(margin && { margin: perPair((pair) => pair.margin ?? 0) }),
    ...(tie && { tie: perPair((pair) => (pair.tie ? 1 : 0)) }),
  };
}
