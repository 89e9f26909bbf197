/** Tokenised texts as rows of a plan: one sequence each, of which labels count. */
import { collate } from "../../data/collate.ts";
import type { Dataset } from "../../data/dataset.ts";
import { type Example, labelCount } from "../../data/example.ts";
import { packRuns, raggedArrays, raggedRows } from "../../data/packed-rows.ts";
import { responseSpecs } from "../../data/response-rows.ts";
import { type HostArray, hostArray, type TensorSpec, type Tree } from "../../graph/index.ts";
import { tokenSpec } from "../../models/model.ts";
import type { Rows } from "./plan.ts";

/**
 * {ragged, tokens [M]}: rows of which what predicts a label is read, and those labels. Of packed rows, where hardly a token
 * is none, {input_ids, labels, segment_ids, position_ids}, all [B, T].
 */
export const labelSpec = (packed: boolean): Tree<TensorSpec> =>
  packed
    ? { input_ids: tokenSpec(), labels: tokenSpec(), segment_ids: tokenSpec(), position_ids: tokenSpec() }
    : responseSpecs;

/** The examples of a dataset; `packed` is whether batches say which row a token belongs to. */
export const textRows = (
  { examples }: Pick<Dataset, "examples">,
  options: { readonly packed: boolean; readonly maxLength: number },
): Rows<Example> => ({
  list: examples,
  sequences: ({ ids }) => [ids],
  items: labelCount,
  sources: ({ sources }) => sources,
  collate: (rows) => (options.packed ? { ...collate(rows, options) } : ragged(rows)),
});

/** Examples as ragged rows, which end before their last label; the labels are read. */
function ragged(examples: readonly Example[]): Tree<HostArray> {
  const packed = packRuns(
    examples.map(({ ids, counts }) => ({ prompt: [], branches: [ids.subarray(0, counts.lastIndexOf(1))] })),
  );
  const [reads, tokens]: [number[], number[]] = [[], []];
  for (const [row, { ids, counts }] of examples.entries()) {
    const start = packed.starts[row]?.prompt as number;
    for (const [i, id] of ids.entries()) {
      if (!counts[i]) continue;
      reads.push(start + i - 1);
      tokens.push(id);
    }
  }
  return {
    ragged: raggedArrays(raggedRows(packed, reads)),
    tokens: hostArray("int64", [tokens.length], tokens),
  };
}
