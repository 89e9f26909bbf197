/**
 * Which hidden state of a row its score is read from: that of its last token, the mean of all, or that of its first.
 *
 * The last token is found by the row's length, never by the id of padding, which is often that of the end of text.
 * config.json says how a reward model pools (`pooling`); without it decoders read the last token, which alone has seen
 * the whole row, and encoders the first, [CLS], as their classifiers in transformers do. Where prompt and response are
 * read apart (towers.ts) it is the mean of each, which served Sentence-BERT best.
 */
import {
  add,
  and,
  arange,
  cast,
  type Dim,
  dimValue,
  div,
  expandDims,
  gather,
  greaterEqual,
  less,
  matmul,
  mul,
  reshape,
  sub,
  type Tensor,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { families } from "../models/families/index.ts";
import { readsApart } from "../models/towers.ts";
import { RewardError } from "./reward.ts";

export const poolings = ["last", "mean", "cls"] as const;
export type Pooling = (typeof poolings)[number];

/** Where the tokens of each row stand: [first, first + length), both [R] int64. */
export interface Spans {
  readonly first: Tensor;
  readonly length: Tensor;
}

/**
 * How the model pools.
 *
 * @throws RewardError for a name that is none, and for [CLS] in a decoder, whose first token has seen nothing else
 */
export function poolingOf({ raw, family }: Pick<ModelConfig, "raw" | "family">): Pooling {
  const { encoder = false } = families[family];
  const pooling = (raw.pooling ?? (readsApart({ raw }) ? "mean" : encoder ? "cls" : "last")) as Pooling;
  if (!poolings.includes(pooling))
    throw new RewardError(
      `pooling: one of ${poolings.join(", ")} is required, got ${JSON.stringify(pooling)}`,
    );
  if (pooling === "cls" && !encoder)
    throw new RewardError(
      `pooling: cls needs an encoder, in ${family} the first token sees only itself; choose last`,
    );
  return pooling;
}

/** [R, C] of hidden states [R T, C]. */
export function pooled(pooling: Pooling, hidden: Tensor, rows: Dim, length: Dim, spans: Spans): Tensor {
  const width = hidden.shape.at(-1) as Dim;
  if (pooling !== "mean") {
    const place = pooling === "cls" ? spans.first : sub(add(spans.first, spans.length), 1);
    return gather(hidden, add(mul(arange(rows), dimValue(length, "int64")), place));
  }
  const at = expandDims(arange(length), 0); // [1, T]
  const [from, count] = [expandDims(spans.first, 1), expandDims(spans.length, 1)]; // [R, 1]
  const counts = and(greaterEqual(at, from), less(at, add(from, count))); // [R, T]
  const weights = div(cast(counts, "float32"), cast(count, "float32"));
  const means = matmul(expandDims(weights, 1), reshape(hidden, [rows, length, width])); // [R, 1, C]
  return reshape(means, [rows, width]);
}
