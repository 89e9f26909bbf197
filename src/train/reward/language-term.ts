/**
 * The chosen response's likelihood beside the reward model's loss: the hidden states stay those of a language model while
 * the head learns from them, and the reward holds further from its data (Yang et al. 2024, "Regularizing Hidden States
 * Enables Learning Generalizable Reward Model for LLMs", the SFT term of eq. 7).
 *
 *     L = L_reward - c / n sum over pairs of 1 / |y| sum over t of log p(y_t | x, y_<t)        y: chosen
 */
import {
  add,
  div,
  gather,
  mul,
  neg,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { logitFigures } from "../../models/model.ts";
import type { Pooling } from "../../reward/pooling.ts";
import { TrainError } from "../errors.ts";
import type { Loss } from "../loop/step.ts";

/** The L tokens of a batch's chosen responses: which of the states that are read choose them, and 1 / |y| of each. */
export const languageSpec: Record<string, TensorSpec> = {
  chosen_places: { dtype: "int64", shape: ["L"] },
  chosen_tokens: { dtype: "int64", shape: ["L"] },
  chosen_weights: { dtype: "float32", shape: ["L"] },
};

/** @throws TrainError for a model that is no language model any more, or whose rows have no such places */
export function checkLanguageTerm(
  { tieEmbeddings }: ModelConfig,
  layout: { readonly encoder: boolean; readonly apart: boolean; readonly pooling: Pooling },
): void {
  if (!tieEmbeddings || layout.encoder || layout.apart || layout.pooling !== "last")
    throw new TrainError(
      "sft_coefficient: a decoder is required that is scored at its last token and whose output projection is its embedding (tie_word_embeddings); leave it at 0",
    );
}

/** The loss with the term, and `sft_loss`, the mean over pairs of nats per chosen token. */
export function withLanguageTerm(
  result: ReturnType<Loss>,
  coefficient: number,
  of: {
    readonly config: ModelConfig;
    readonly params: Tree<Tensor>;
    /** Those that are read, [M, C]. */
    readonly hidden: Tensor;
    readonly batch: Tree<Tensor>;
  },
): ReturnType<Loss> {
  const { chosen_places, chosen_tokens, chosen_weights, num_items } = of.batch as Record<string, Tensor>;
  const { numLabels: _, ...language } = of.config;
  const { logProbs } = logitFigures(
    language,
    of.params,
    gather(of.hidden, chosen_places as Tensor),
    { rows: { tokens: chosen_tokens as Tensor } },
    (logits, { tokens }) => ({ logProbs: tokenLogProbs(logits, tokens) }),
  );
  const nll = neg(div(sum(mul(logProbs, chosen_weights as Tensor)), num_items as Tensor));
  return {
    loss: add(result.loss, mul(nll, coefficient)),
    metrics: { ...result.metrics, sft_loss: nll },
  };
}
