/**
 * Completions that are desirable or not, each on its own, as token ids: what KTO learns from. A pair is two of them, the
 * chosen response and the rejected one; of a tie nothing is known.
 */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import { type ExchangeOptions, encodeExchange } from "./exchange.ts";
import { fitLength, type LengthOptions } from "./fit-length.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { type LoadOptions, loadRows } from "./node-load.ts";
import { readsChat } from "./reads-chat.ts";
import { type RowOf, type Source, type Sourced, without } from "./rows.ts";

export interface Labelled {
  readonly prompt: Int32Array;
  /** End-of-text included unless it was cut. */
  readonly completion: Int32Array;
  /** Is the completion desirable? */
  readonly label: boolean;
  readonly texts: { readonly prompt: string; readonly completion: string };
  /** Columns of the row besides those. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

export interface LabelOptions extends LoadOptions, LengthOptions, Omit<ExchangeOptions, "tools"> {}

export interface LabelDataset {
  readonly examples: RowList<Labelled>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

export const labelPurpose: Purpose<"label" | "preference"> = {
  name: "labelled completions",
  kinds: ["label", "preference"],
};

/**
 * Reads, checks and tokenises labelled completions.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when none is left
 */
export async function loadLabels(
  data: DataInput,
  tokenizer: Tokenizer,
  options: LabelOptions,
): Promise<LabelDataset> {
  const chat = readsChat(tokenizer, options);
  const { items, ...counts } = await loadRows(
    data,
    labelPurpose,
    () => ({ each: (row) => labelledOf(row).map((one) => tokenizeLabelled(one, tokenizer, options)) }),
    { ...options, chat },
  );
  return { examples: items, ...counts };
}

function labelledOf(row: Sourced<RowOf<"label" | "preference">>): Sourced<RowOf<"label">>[] {
  if (row.kind === "label") return [row];
  if (row.tie) return [];
  const { kind: _, chosen, rejected, ...rest } = row;
  return [
    { ...rest, kind: "label", completion: chosen, label: true },
    { ...rest, kind: "label", completion: rejected, label: false },
  ];
}

function tokenizeLabelled(
  row: Sourced<RowOf<"label">>,
  tokenizer: Tokenizer,
  options: LengthOptions & ExchangeOptions,
): Labelled {
  const { prompt, completion, label, tools, source, columns } = row;
  const exchange = encodeExchange(prompt, [completion], tokenizer, { ...options, ...(tools && { tools }) });
  const { prompt: before, completions } = fitLength(exchange.prompt, exchange.completions, options);
  const [after] = completions as [Int32Array];
  if (before.length + after.length < 2)
    throw new DataError("the row has no label: at least two tokens are required");
  return {
    prompt: before,
    completion: after,
    label,
    texts: { prompt: exchange.texts.prompt, completion: exchange.texts.completions[0] as string },
    row: without(row.row, columns),
    source,
  };
}
