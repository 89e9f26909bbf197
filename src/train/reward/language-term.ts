/**
 * The chosen response's likelihood beside the reward model's loss: the hidden states stay those of a language model while
 * the head learns from them, and the reward holds further from its data (Yang et al. 2024, "Regularizing Hidden States
 * Enables Learning Generalizable Reward Model for LLMs", the SFT term of eq. 7).
 *
 *     L = L_reward - c / n sum over pairs of 1 / |y| sum over t of log p(y_t | x, y_<t)        y: chosen
 */
import type { Pair } from "../../data/pair.ts";
import {
  add,
  div,
  gather,
  type HostArray,
  hostArray,
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

/** The N tokens of a batch's chosen responses: where the hidden states that choose them stand, and 1 / |y| of each. */
export const languageSpec: Record<string, TensorSpec> = {
  chosen_places: { dtype: "int64", shape: ["N"] },
  chosen_tokens: { dtype: "int64", shape: ["N"] },
  chosen_weights: { dtype: "float32", shape: ["N"] },
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

/** The arrays of `languageSpec`, for pairs whose `places` are those of `rewardSpec`: a chosen response follows its prompt. */
export function collateChosen(pairs: readonly Pair[], places: HostArray): Record<string, HostArray> {
  const tokens = pairs.flatMap(({ prompt, chosen }, b) => {
    const first = Number(places.data[b]) - chosen.length + 1;
    // What follows nothing is chosen by nothing.
    return Array.from(chosen, (id, t) => ({ place: first + t - 1, id, weight: 1 / chosen.length })).slice(
      prompt.length === 0 ? 1 : 0,
    );
  });
  const numbers = (of: (token: (typeof tokens)[number]) => number) =>
    hostArray("int64", [tokens.length], tokens.map(of));
  return {
    chosen_places: numbers(({ place }) => place),
    chosen_tokens: numbers(({ id }) => id),
    chosen_weights: hostArray(
      "float32",
      [tokens.length],
      tokens.map(({ weight }) => weight),
    ),
  };
}

/** The loss with the term, and `sft_loss`, the mean over pairs of nats per chosen token. */
export function withLanguageTerm(
  result: ReturnType<Loss>,
  coefficient: number,
  of: {
    readonly config: ModelConfig;
    readonly params: Tree<Tensor>;
    /** Of every token, [R T, C]. */
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
