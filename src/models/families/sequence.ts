/**
 * How the tokens of a batch stand, and how their positions turn queries and keys.
 *
 * Projections and MLPs see rows [N, C], of which attention makes heads. Rows are all places of a grid [B, T], padding
 * too, or the real tokens alone (ragged.ts).
 */
import {
  AttuneError,
  cast,
  concat,
  constant,
  cos,
  type Dim,
  expandDims,
  hostArray,
  mul,
  reshape,
  rotary,
  sin,
  split,
  type Tensor,
  transpose,
} from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";

/** Attention of one layer: q [B, H, Q, D], k and v [B, G, T, D], the result [B, H, Q, D]. */
export type Attend = (layer: number, query: Tensor, key: Tensor, value: Tensor) => Tensor;

/** What a family computes from: token ids, their positions, and a way to attend. */
export interface Sequence {
  /** [B, T], or [N] of ragged rows; int64 */
  readonly ids: Tensor;
  /** As `ids`, or [T] for all rows; int64 */
  readonly positions: Tensor;
  readonly attend: Attend;
  /** Rows [N, C] of the tokens that ask in a layer: all of them, but in the last layer of ragged rows. */
  asked(layer: number, x: Tensor): Tensor;
  /** Rows [N, H D] to the heads of keys or values, [B, H, T, D]. */
  heads(x: Tensor, heads: number): Tensor;
  /** Rows that ask to the heads of queries, [B, H, Q, D]. */
  queries(layer: number, x: Tensor, heads: number): Tensor;
  /** The result of attention, [B, H, Q, D], to rows that ask. */
  rows(layer: number, x: Tensor): Tensor;
  /** Positions of keys, [T] or [B, T], and of the queries of a layer. */
  readonly keyPositions: Tensor;
  queryPositions(layer: number): Tensor;
}

/** [B, T, H D] to [B, H, T, D]. */
export const toHeads = (x: Tensor, heads: number): Tensor => {
  const [b, t] = x.shape as [Dim, Dim];
  if (t === 1) return reshape(x, [b, heads, 1, (x.shape[2] as number) / heads]);
  return transpose(reshape(x, [b, t, heads, -1]), [0, 2, 1, 3]);
};

/** [B, H, T, D] to rows [B T, H D]. */
export const fromHeads = (x: Tensor): Tensor => {
  const [b, h, t, d] = x.shape as [Dim, number, Dim, number];
  if (t === 1) return reshape(x, [b, h * d]);
  return reshape(reshape(transpose(x, [0, 2, 1, 3]), [b, t, h * d]), [-1, h * d]);
};

/** A grid [B, T], whose places all ask in every layer. */
export function gridSequence(tokens: Pick<Sequence, "ids" | "positions" | "attend">): Sequence {
  const { ids, positions } = tokens;
  const heads = (x: Tensor, count: number) =>
    toHeads(reshape(x, [...ids.shape, x.shape.at(-1) as Dim]), count);
  return {
    ...tokens,
    asked: (_, x) => x,
    heads,
    queries: (_, x, count) => heads(x, count),
    rows: (_, x) => fromHeads(x),
    keyPositions: positions,
    queryPositions: () => positions,
  };
}

/** Turns heads by the angles of their positions (Su et al. 2021); where `rotaryDim` is less than D, the first of each. */
export function rotation(config: ModelConfig, sequence: Sequence) {
  const { rope, headDim } = config;
  const width = rope?.rotaryDim ?? headDim;
  const keys = rotaryAngles(config, sequence.keyPositions);
  const last = sequence.queryPositions(config.numLayers - 1);
  const lastQueries = last === sequence.keyPositions ? keys : rotaryAngles(config, last);
  const turned = (x: Tensor, angles: [Tensor, Tensor]): Tensor => {
    if (width === headDim) return rotary(x, ...angles);
    const [first, rest] = split(x, [width, headDim - width], -1) as [Tensor, Tensor];
    return concat([rotary(first, ...angles), rest], -1);
  };
  return {
    keys: (x: Tensor) => turned(x, keys),
    queries: (layer: number, x: Tensor) => turned(x, layer === config.numLayers - 1 ? lastQueries : keys),
  };
}

/** Cosine and sine of every position's angles, [T, D/2] or [B, 1, T, D/2]. */
function rotaryAngles({ rope }: ModelConfig, positions: Tensor): [Tensor, Tensor] {
  if (!rope)
    throw new AttuneError("model: this family needs rotary positions, but its configuration has none");
  const frequencies = constant(hostArray("float32", [rope.rotaryDim / 2], rope.inverseFrequencies));
  const angles = mul(expandDims(cast(positions, "float32"), -1), frequencies);
  const perHead = positions.shape.length === 2 ? expandDims(angles, 1) : angles;
  const scaled = (x: Tensor) => mul(x, rope.attentionScaling);
  return [scaled(cos(perHead)), scaled(sin(perHead))];
}
