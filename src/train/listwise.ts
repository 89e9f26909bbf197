/**
 * Direct preference optimisation on ranked lists (Rafailov et al. 2023, appendix A.3, eq. 20): the ranking's likelihood
 * in the model of Plackett and Luce, with implicit rewards in the place of a reward model's.
 *
 *     L = - 1/n sum_lists sum_i log ( e^(s_i) / sum_{j not above i} e^(s_j) )          s = beta log pi/ref
 *
 * A list of two is a pair of DPO. A list is one run of tokens: its prompt is computed once for all responses.
 */
import type { DataInput } from "../data/input.ts";
import type { RowList } from "../data/list.ts";
import { loadRankings, type RankedList, type RankingDataset } from "../data/rankings.ts";
import {
  and,
  cast,
  div,
  expandDims,
  greater,
  greaterEqual,
  type HostArray,
  hostArray,
  mul,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import type { Model } from "../models/load.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { plackettLuceLosses } from "../reward/plackett-luce.ts";
import { TrainError } from "./errors.ts";
import type { FitResult } from "./loop/fit.ts";
import type { Loss } from "./loop/step.ts";
import { textModelOf } from "./loop/text-model.ts";
import { type Course, type TrainerHooks, withDefaults } from "./loop/trainer-options.ts";
import { type PairTrainerOptions, pairDefaults } from "./preference/pair-data.ts";
import { type Run, responseLogProbs } from "./preference/preference-batch.ts";
import { type AskHooks, type AskOptions, trainOnRuns } from "./preference/run-trainer.ts";

export interface ListwiseOptions extends PairTrainerOptions, AskOptions {
  /** What the policy is compared with; by default the policy at the start. */
  readonly refModel?: Model;
  /** The pull towards the reference. */
  readonly beta?: number;
}

/** Defaults, as the help texts print them. */
export const listwiseDefaults = {
  ...pairDefaults,
  beta: 0.1,
  precomputeRefLogProbs: true,
} as const satisfies Partial<ListwiseOptions>;

export interface ListwiseStart extends Course {
  readonly train: RankingDataset;
  readonly eval?: RankingDataset;
  readonly tokenizer: Tokenizer;
}

export interface ListwiseHooks extends TrainerHooks<ListwiseStart>, AskHooks {}

/** Loss over a batch of `dpoSpec({ columns })` with `listArrays(columns)`, and `num_items`, the lists of the whole step. */
export const listwiseLoss =
  (config: ModelConfig, { beta }: { readonly beta: number }): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { reference, ranks, best, worst, num_items } = batch as Record<string, Tensor>;
    const logps = responseLogProbs(config, params, batch); // [B, K]
    const rewards = mul(sub(logps, reference as Tensor), beta);
    const mean = (x: Tensor) => div(sum(x), num_items as Tensor);
    const at = (x: Tensor, weights: Tensor) => sum(mul(x, weights), -1); // [B]
    const [top, bottom] = [at(rewards, best as Tensor), at(rewards, worst as Tensor)];
    return {
      loss: mean(plackettLuceLosses(rewards, ranks as Tensor)),
      metrics: {
        "rewards/chosen": mean(top),
        "rewards/rejected": mean(bottom),
        "rewards/margins": mean(sub(top, bottom)),
        "rewards/accuracies": mean(inOrder(rewards, ranks as Tensor)),
        "logps/chosen": mean(at(logps, best as Tensor)),
        "logps/rejected": mean(at(logps, worst as Tensor)),
      },
    };
  };

/** Of the pairs of a list that differ in rank, the share in the right order: [B]. */
function inOrder(rewards: Tensor, ranks: Tensor): Tensor {
  const beside = (x: Tensor) => [expandDims(x, 2), expandDims(x, 1)] as const; // [B, i, 1] and [B, 1, j]
  const [a, b] = beside(ranks);
  const [r, q] = beside(rewards);
  const isPair = and(greater(b, a), greaterEqual(a, 0)); // i above j
  const count = (condition: Tensor) => sum(cast(condition, rewards.dtype), [1, 2]);
  return div(count(and(isPair, greater(r, q))), count(isPair));
}

/**
 * The ranks of a batch [B, K], -1 where a list has fewer responses, and the weights with which `best` and `worst` are
 * means over the responses of the best and of the worst rank.
 */
export function listArrays(columns: number) {
  const spec: TensorSpec = { dtype: "float32", shape: ["B", columns] };
  return {
    specs: { ranks: spec, best: spec, worst: spec },
    arrays(rows: readonly Pick<RankedList, "ranks">[]): Record<string, HostArray> {
      const table = (of: (ranks: readonly number[]) => readonly number[], empty: number) =>
        hostArray(
          "float32",
          [rows.length, columns],
          rows.flatMap(({ ranks }) => {
            const values = of(ranks);
            return Array.from({ length: columns }, (_, k) => values[k] ?? empty);
          }),
        );
      const meanOf = (choose: (...ranks: number[]) => number) => (ranks: readonly number[]) => {
        const chosen = ranks.map((rank) => Number(rank === choose(...ranks)));
        const count = chosen.reduce((a, b) => a + b, 0);
        return chosen.map((one) => one / count);
      };
      return {
        ranks: table((ranks) => ranks, -1),
        best: table(meanOf(Math.min), 0),
        worst: table(meanOf(Math.max), 0),
      };
    },
  };
}

export const listRun = ({ prompt, responses }: RankedList): Run => ({ prompt, responses });

/**
 * Trains a policy on ranked lists.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await listwise({ model: await loadModel("my-model"), data: "rankings.jsonl", beta: 0.1 });
 */
export async function listwise(options: ListwiseOptions, listeners: ListwiseHooks = {}): Promise<FitResult> {
  const o = withDefaults(listwiseDefaults, options);
  const { beta } = o;
  if (!(beta > 0 && Number.isFinite(beta)))
    throw new TrainError(`beta: a number above 0 is required, got ${beta}`);
  const { model, tokenizer, maxLength, reading } = textModelOf(o.model, options, {
    trainer: "listwise",
    defaultLength: o.maxLength,
  });
  const load = (data: DataInput) => loadRankings(data, tokenizer, { ...o, ...reading });
  const train = await load(o.data);
  const held = o.evalData === undefined ? undefined : await load(o.evalData);
  const columns = Math.max(longest(train.lists), held ? longest(held.lists) : 0);
  return trainOnRuns(
    { train: train.lists, held: held?.lists },
    {
      model,
      refModel: o.refModel ?? model,
      loss: listwiseLoss(model.config, { beta }),
      runOf: listRun,
      batches: { columns },
      more: listArrays(columns),
      fingerprint: { maxLength, beta },
    },
    o,
    { ...listeners, onStart: (course) => listeners.onStart?.({ ...course, train, eval: held, tokenizer }) },
  );
}

function longest(lists: RowList<RankedList>): number {
  let most = 0;
  for (const { responses } of lists) most = Math.max(most, responses.length);
  return most;
}
