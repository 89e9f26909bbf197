/**
 * Ragged rows: the real tokens of a batch, without padding, of which some are read in the end.
 *
 * Projections and MLPs see N tokens. Attention alone needs a grid [R, T], in which short sequences share a row; its
 * padding is what is left. In the last layer only the M tokens that are read ask: queries, output projection and MLP are
 * theirs, all others give keys and values alone.
 *
 * Who sees whom is one number a token: continuations of one beginning stand behind it as the branches of a tree, depth
 * first, so a token is seen by all places of its row from its own up to the `end` of what follows from it.
 *
 *     row        p0 p1 c0 c1 r0 r1 r2 | q0 c0 r0 r1 | padding
 *     end         6  6  3  3  6  6  6   10  8 10 10
 *     position    0  1  2  3  2  3  4    0  1  1  2
 */
import {
  and,
  arange,
  attention,
  type Dim,
  dimValue,
  expandDims,
  gather,
  greaterEqual,
  less,
  lessEqual,
  minimum,
  mod,
  regroup,
  reshape,
  scalar,
  sub,
  type Tensor,
  where,
} from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import { masked } from "./layers.ts";
import { type Attend, fromHeads, type Sequence, toHeads } from "./sequence.ts";

/** All int64. A grid lists tokens row by row, and N (or M) for its padding, which stands on the right. */
export interface RaggedBatch {
  /** [N] */
  readonly input_ids: Tensor;
  /** [N], from 0 in each sequence */
  readonly position_ids: Tensor;
  /** [N]: the last place in its row that sees a token */
  readonly ends: Tensor;
  /** [R, T]: tokens, among the N */
  readonly grid: Tensor;
  /** [N]: where each token stands, among the R T */
  readonly places: Tensor;
  /** [M]: the tokens that are read, among the N, each once */
  readonly reads: Tensor;
  /** [N]: which of those it is, and M for a token that is not read */
  readonly read_places: Tensor;
  /** [R, Q]: tokens that are read, among the M, in the row of the grid in which they stand */
  readonly query_grid: Tensor;
  /** [M]: where each of them stands, among the R Q */
  readonly query_places: Tensor;
}

export function raggedSequence(config: ModelConfig, batch: RaggedBatch): Sequence {
  const { input_ids: ids, position_ids: positions, reads, read_places } = batch;
  const isLast = (layer: number) => layer === config.numLayers - 1;
  const keys = arrangement(batch.grid, batch.places);
  const queries = arrangement(batch.query_grid, batch.query_places);
  const of = (layer: number) => (isLast(layer) ? queries : keys);
  const asking = gather(reads, queries.grid); // [R, Q], among the N
  const keyPositions = gather(positions, keys.grid);
  const queryPositions = gather(positions, asking);

  const [, length] = batch.grid.shape as [Dim, Dim];
  const inRow = mod(gather(batch.places, asking), dimValue(length, "int64")); // [R, Q]
  const seen = { ends: gather(batch.ends, keys.grid), positions: keyPositions, length };
  const asked = { places: inRow, positions: queryPositions };
  const each = { places: expandDims(arange(length), 0), positions: keyPositions };
  // Made before the layers, which may be traced twice; layers alike share one.
  const known = new Map<string, Tensor>();
  const masks = config.layerWindows.map((window, layer) => {
    const key = `${isLast(layer)} ${window}`;
    const mask = known.get(key) ?? raggedMask(isLast(layer) ? asked : each, seen, window);
    known.set(key, mask);
    return mask;
  });
  const scale = config.scaleAttention ? {} : { scale: 1 };
  const attend: Attend = (layer, q, k, v) => attention(q, k, v, { mask: masks[layer] as Tensor, ...scale });
  return {
    ids,
    positions,
    attend,
    asked: (layer, x) => (isLast(layer) ? regroup(x, reads, read_places) : x),
    heads: (x, count) => toHeads(keys.toGrid(x), count),
    queries: (layer, x, count) => toHeads(of(layer).toGrid(x), count),
    rows: (layer, x) => of(layer).toRows(fromHeads(x)),
    keyPositions,
    queryPositions: (layer) => (isLast(layer) ? queryPositions : keyPositions),
  };
}

/** Rows [N, C] to a grid [R, T, C] and back. */
function arrangement(tokens: Tensor, places: Tensor) {
  // Padding repeats the last token. No token sees it and nothing of it is read, so what flows back to it is 0.
  const grid = minimum(tokens, sub(dimValue(places.shape[0] as Dim, "int64"), 1));
  return {
    grid,
    toGrid: (x: Tensor) => regroup(x, grid, places, { onto: true }),
    toRows: (x: Tensor) => regroup(x, places, reshape(tokens, [-1])),
  };
}

/** 0 where a query sees a key, -1e30 elsewhere: [R, 1, Q, T]. */
function raggedMask(
  asking: { readonly places: Tensor; readonly positions: Tensor },
  seen: { readonly ends: Tensor; readonly positions: Tensor; readonly length: Dim },
  window: number | undefined,
): Tensor {
  const at = expandDims(asking.places, 2); // [R or 1, Q, 1]
  const from = reshape(arange(seen.length), [1, 1, seen.length]);
  let visible = and(lessEqual(at, expandDims(seen.ends, 1)), greaterEqual(at, from)); // [R, Q, T]
  if (window !== undefined)
    visible = and(visible, less(sub(expandDims(asking.positions, 2), expandDims(seen.positions, 1)), window));
  return expandDims(where(visible, scalar(0), scalar(masked)), 1);
}
