/** Tokenised texts as rows of a plan: one sequence each, of which labels count. */
import { collate } from "../data/collate.ts";
import type { Dataset } from "../data/dataset.ts";
import { type Example, labelCount } from "../data/example.ts";
import { tokenSpec } from "../models/model.ts";
import type { Rows } from "./plan.ts";

/** {input_ids, labels[, segment_ids, position_ids]}, all [B, T]. */
export const labelSpec = (packed: boolean) => ({
  input_ids: tokenSpec(),
  labels: tokenSpec(),
  ...(packed && { segment_ids: tokenSpec(), position_ids: tokenSpec() }),
});

/** The examples of a dataset; `packed` is whether batches say which row a token belongs to. */
export const textRows = (
  { examples }: Dataset,
  options: { readonly packed: boolean; readonly maxLength: number },
): Rows<Example> => ({
  list: examples,
  sequences: ({ ids }) => [ids],
  items: labelCount,
  sources: ({ sources }) => sources,
  collate: (rows) => ({ ...collate(rows, options) }),
});
