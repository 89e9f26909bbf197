/**
 * A model whose token embeddings stand in a tensor of their own, one row for each token of a batch, so that a gradient
 * can be taken by what each token puts in:
 *
 *     E' = E[ids]  [B T, C]        ids' = 0, 1, 2, ...        hidden(E', ids') = hidden(E, ids)
 */
import {
  arange,
  type Dim,
  flatten,
  gather,
  reshape,
  type Tensor,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "./config/config.ts";
import { families } from "./families/index.ts";

export interface EmbeddedTokens {
  /** The parameters with `embeddings` in the place of the token embedding. */
  readonly params: Tree<Tensor>;
  /** As the tokens, int64: their places in `embeddings`. */
  readonly input_ids: Tensor;
  /** [B T, C] or [N, C]: what each token puts in, before positions. */
  readonly embeddings: Tensor;
}

/** The tokens of a batch, [B, T] or ragged [N], as rows of an embedding. */
export function embeddedTokens(config: ModelConfig, params: Tree<Tensor>, ids: Tensor): EmbeddedTokens {
  const name = families[config.family].embedding;
  const weights = flatten(params);
  const flat = reshape(ids, [-1]);
  const embeddings = gather(weights[name] as Tensor, flat);
  return {
    params: unflatten({ ...weights, [name]: embeddings }),
    input_ids: reshape(arange(flat.shape[0] as Dim), [...ids.shape]),
    embeddings,
  };
}
