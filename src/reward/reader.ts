/**
 * How a reward model reads responses that are scored: batches of rows, and what their scores are read from.
 *
 * A decoder that scores the last token reads rows ragged, and its last layer asks for those tokens alone; other rows are
 * padded. Where prompt and response are read apart (towers.ts), each different prompt of a batch is read once.
 */
import { raggedSpecs } from "../data/packed-rows.ts";
import type { HostArray, Tensor, TensorSpec, Tree } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { families } from "../models/families/index.ts";
import type { RaggedBatch } from "../models/families/ragged.ts";
import { hiddenStates } from "../models/model.ts";
import { readsApart } from "../models/towers.ts";
import { poolingOf } from "./pooling.ts";
import { pooledStates, type RowBatch, rowBatchSpec } from "./reward-model.ts";
import {
  joinedIds,
  paddedRows,
  type ResponseParts,
  type ResponseRow,
  raggedEnds,
  towerRows,
} from "./rows.ts";
import { type TowerBatch, towerSpec, towerStates } from "./towers.ts";

export interface Reader {
  readonly spec: Tree<TensorSpec>;
  batch(rows: readonly ResponseRow[]): Tree<HostArray>;
  /** [R, F] */
  states(params: Tree<Tensor>, batch: Tree<Tensor>): Tensor;
}

/** The reader of a model. */
export function readerOf(config: ModelConfig): Reader {
  if (readsApart(config))
    return {
      spec: towerSpec(),
      batch: (rows) => towerRows(rows as readonly ResponseParts[]),
      states: (params, batch) => towerStates(config, params, batch as unknown as TowerBatch),
    };
  if (!families[config.family].encoder && poolingOf(config) === "last")
    return {
      spec: raggedSpecs,
      batch: (rows) => raggedEnds(rows.map(joinedIds)),
      states: (params, batch) => hiddenStates(config, params, batch as unknown as RaggedBatch),
    };
  return {
    spec: rowBatchSpec(),
    batch: (rows) => paddedRows(rows.map(joinedIds)),
    states: (params, batch) => pooledStates(config, params, batch as unknown as RowBatch),
  };
}
