/**
 * The loss of a reward model over a batch of pairs: both responses in one pass, and of each only the pooled hidden
 * state goes through the head.
 *
 * A model with several heads is an ensemble that shares its backbone, or has several objectives. An ensemble has the
 * mean of its heads' losses; its metrics are those of the heads' mean score, and `disagreement` is the variance over the
 * heads. Each objective has labels of its own (reward-objectives.ts).
 *
 *     L = mean over heads of L_k + gradient_penalty / n sum over pairs of |d (r_chosen - r_rejected) / d embeddings|^2
 *
 * The second term makes the score a smooth function of what is read (double backpropagation, Drucker and LeCun 1992).
 */
import {
  add,
  addAll,
  type Dim,
  div,
  expand,
  gather,
  gradientOf,
  matmul,
  mul,
  reshape,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  type Tree,
  transpose,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { embeddedTokens } from "../../models/embedded-tokens.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { hiddenStates, scoresOf, type TokenBatch } from "../../models/model.ts";
import { promptParameters, readsApart } from "../../models/towers.ts";
import { type PairLossOptions, pairLoss } from "../../reward/bradley-terry.ts";
import { towerFeatures } from "../../reward/towers.ts";
import type { Loss } from "../loop/step.ts";
import { withLanguageTerm } from "./language-term.ts";
import { promptBatch } from "./reward-batch.ts";
import { objectivesLoss } from "./reward-objectives.ts";

export interface RewardLossOptions extends PairLossOptions {
  /** Weight of the squared norm of the margin's gradient by the tokens' embeddings. Default 0. */
  readonly gradientPenalty?: number | undefined;
  /** Weight of the chosen response's likelihood (language-term.ts). Default 0. */
  readonly sftCoefficient?: number | undefined;
  /** Names of the heads where each has labels of its own. */
  readonly objectives?: readonly string[] | undefined;
}

/**
 * What the scores of a batch's responses are read from: pooled hidden states [slots B, C], or [slots B, 4 C] of a model
 * that reads prompts and responses apart.
 */
export function groupStates(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
  slots: number | string,
  /** Of the responses' tokens, where they are known already. */
  hidden?: Tensor,
): Tensor {
  const responses = pooledRuns(config, params, batch, slots, hidden);
  if (!readsApart(config)) return responses;
  const prompts = promptBatch(batch as Record<string, Tensor>);
  const read = pooledRuns(config, promptParameters(config, params), prompts, 1); // [B, C]
  const width = read.shape[1] as Dim;
  const spread = expand(reshape(read, [1, "B", width]), [slots, "B", width]);
  return towerFeatures(reshape(spread, [`${slots}*B`, width]), responses);
}

/** Of the tokens that ragged rows read, [M, C]; of all of a grid, [R T, C]. */
const statesOf = (config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>): Tensor =>
  hiddenStates(config, params, (batch.ragged ?? batch) as unknown as RaggedBatch | TokenBatch);

function pooledRuns(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
  slots: number | string,
  hidden = statesOf(config, params, batch),
): Tensor {
  const { places, weights } = batch as Record<string, Tensor | undefined>;
  const all = `${slots}*B`;
  return weights
    ? matmul(reshape(weights, [all, hidden.shape[0] as Dim]), hidden)
    : gather(hidden, reshape(places as Tensor, [all]));
}

/**
 * Scores [slots, B] by each of the model's heads.
 *
 * @param states [slots B, F]
 * @param keep [K, slots B, F]: of dropout, what each head reads of them, scaled up by what is left
 */
export function headScores(
  config: ModelConfig,
  params: Tree<Tensor>,
  states: Tensor,
  slots: number | string,
  keep?: Tensor,
): Tensor[] {
  const heads = config.numLabels as number;
  const row = (of: Tensor, k: number) => reshape(slice(of, 0, k, k + 1), [slots, "B"]);
  const scores = (read: Tensor) => transpose(scoresOf(config, params, read), [1, 0]); // [K, slots B]
  const all = keep ? undefined : scores(states);
  return Array.from({ length: heads }, (_, k) => {
    if (!keep) return row(all as Tensor, k);
    const mask = reshape(slice(keep, 0, k, k + 1), [...states.shape]);
    return row(scores(mul(states, mask)), k);
  });
}

/** Loss over a batch of `rewardSpec` (reward-batch.ts) and `num_items`, the pairs of the whole step. */
export const rewardLoss =
  (config: ModelConfig, options: RewardLossOptions = {}): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    const { gradientPenalty = 0, sftCoefficient = 0, objectives } = options;
    const { margin, tie, num_items, keep } = batch as Record<string, Tensor | undefined>;
    const items = num_items as Tensor;
    const {
      params: withTokens,
      batch: read,
      embeddings,
    } = gradientPenalty > 0 ? embedded(config, params, batch) : { params, batch, embeddings: undefined };
    const hidden = statesOf(config, withTokens, read);
    const states = groupStates(config, withTokens, read, 2, hidden);
    const heads = headScores(config, params, states, 2, keep); // K of [2, B]
    const penalised = (plain: ReturnType<Loss>): ReturnType<Loss> => {
      const result =
        sftCoefficient > 0
          ? withLanguageTerm(plain, sftCoefficient, { config, params, hidden, batch })
          : plain;
      if (!embeddings) return result;
      const leads = mul(addAll(heads.map((head) => sum(lead(head)))), 1 / heads.length);
      const [slope] = gradientOf(leads, [embeddings]) as [Tensor];
      const penalty = div(sum(square(slope)), items);
      return {
        loss: add(result.loss, mul(penalty, gradientPenalty)),
        metrics: { ...result.metrics, input_gradient: penalty },
      };
    };
    if (objectives) return penalised(objectivesLoss(heads, states, batch, { ...options, objectives }));
    const lossOf = (sides: Tensor) =>
      pairLoss({ chosen: side(sides, 0), rejected: side(sides, 1), margin, tie }, items, options);
    if (heads.length === 1) return penalised(lossOf(heads[0] as Tensor));
    const scores = addAll(heads);
    const stacked = heads.map((head) => square(sub(head, mul(scores, 1 / heads.length))));
    return penalised({
      loss: mul(addAll(heads.map((head) => lossOf(head).loss)), 1 / heads.length),
      metrics: {
        ...lossOf(mul(scores, 1 / heads.length)).metrics,
        disagreement: div(sum(addAll(stacked)), mul(items, 2 * heads.length)),
      },
    });
  };

/** The batch with the embeddings of its tokens in a tensor of their own (models/embedded-tokens.ts). */
function embedded(config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>) {
  const rows = (batch.ragged ?? batch) as Tree<Tensor>;
  const { input_ids, ...found } = embeddedTokens(config, params, rows.input_ids as Tensor);
  return {
    ...found,
    batch: { ...batch, ...(batch.ragged ? { ragged: { ...rows, input_ids } } : { input_ids }) },
  };
}

/** One side [B] of [2, B]. */
export const side = (of: Tensor, at: number): Tensor => reshape(slice(of, 0, at, at + 1), ["B"]);

const lead = (of: Tensor): Tensor => sub(side(of, 0), side(of, 1));
