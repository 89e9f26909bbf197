/** Tokenised texts as rows of a plan: one sequence each, of which labels count. */
import { type Batch, collate, ignoredLabel } from "../../data/collate.ts";
import type { Dataset } from "../../data/dataset.ts";
import { type Example, labelCount } from "../../data/example.ts";
import { type HostArray, hostArray, type TensorSpec, type Tree } from "../../graph/index.ts";
import { tokenSpec } from "../../models/model.ts";
import type { Rows } from "./plan.ts";

const listSpec: TensorSpec = { dtype: "int64", shape: ["N"] };

/**
 * {input_ids [B, T], tokens [N], places [N]}: the labels, and where the hidden states that predict them stand. Of
 * packed rows, where hardly a token is none, {input_ids, labels, segment_ids, position_ids}, all [B, T].
 */
export const labelSpec = (packed: boolean): Tree<TensorSpec> =>
  packed
    ? { input_ids: tokenSpec(), labels: tokenSpec(), segment_ids: tokenSpec(), position_ids: tokenSpec() }
    : { input_ids: tokenSpec(), tokens: listSpec, places: listSpec };

/** The examples of a dataset; `packed` is whether batches say which row a token belongs to. */
export const textRows = (
  { examples }: Pick<Dataset, "examples">,
  options: { readonly packed: boolean; readonly maxLength: number },
): Rows<Example> => ({
  list: examples,
  sequences: ({ ids }) => [ids],
  items: labelCount,
  sources: ({ sources }) => sources,
  collate: (rows) => {
    const batch = collate(rows, options);
    return options.packed ? { ...batch } : listed(batch);
  },
});

/** The labels of a batch as a list. */
function listed({ input_ids, labels }: Batch): Tree<HostArray> {
  const places: number[] = [];
  for (const [i, label] of labels.data.entries()) if (Number(label) !== ignoredLabel) places.push(i);
  const list = (values: readonly (number | bigint)[]) =>
    hostArray("int64", [values.length], BigInt64Array.from(values, BigInt));
  return {
    input_ids,
    tokens: list(places.map((i) => labels.data[i] as bigint)),
    places: list(places),
  };
}
