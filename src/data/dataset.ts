/** From files or rows to tokenised examples, with a count of what was left out and why. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { Example } from "./example.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { type LoadOptions, loadRows } from "./node-load.ts";
import { packExamples } from "./packing.ts";
import { readsChat } from "./reads-chat.ts";
import { type SftRow, type TokenizeOptions, tokenizeRow } from "./tokenize.ts";

export type { DataInput };
/** Files, or rows as they would stand in one. */
export type SftData = DataInput;

export interface DatasetOptions extends TokenizeOptions, LoadOptions {
  /** Several rows share one. Default false. */
  readonly packing?: boolean;
}

export interface Dataset {
  /** What a batch is made of; packed when asked. */
  readonly examples: RowList<Example>;
  /** Before packing. */
  readonly unpacked: RowList<Example>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  readonly packed: boolean;
  /** Rows of each format. */
  readonly formats?: Readonly<Record<string, number>>;
}

/** Rows that a language model is trained on: as they are, or the chosen response of pairs; ratings beside completions do not matter. */
export const sftPurpose: Purpose<SftRow["kind"]> = {
  name: "texts, prompts with completions and conversations",
  kinds: ["completion", "messages", "text", "preference"],
  ignores: ["rating"],
};

/**
 * Reads and tokenises everything.
 *
 * @throws DataError for unusable rows (unless they are skipped), and when no example is left
 */
export async function loadDataset(
  data: DataInput,
  tokenizer: Tokenizer,
  options: DatasetOptions,
): Promise<Dataset> {
  const chat = readsChat(tokenizer, options);
  const { items: unpacked, ...counts } = await loadRows(
    data,
    sftPurpose,
    () => ({ each: (row) => tokenizeRow(row, tokenizer, options) }),
    { ...options, chat },
  );
  const examples = options.packing ? packExamples(unpacked, options.maxLength) : unpacked;
  return { examples, unpacked, ...counts, packed: options.packing ?? false };
}
