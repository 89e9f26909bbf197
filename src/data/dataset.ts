/** From files or rows to tokenised examples, with a count of what was left out and why. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import type { Example } from "./example.ts";
import { type ReadOptions, readSftRows } from "./node-files.ts";
import { packExamples } from "./packing.ts";
import { readSftRow, type SftRow, type Sourced, showSource } from "./rows.ts";
import { type TokenizeOptions, tokenizeRow } from "./tokenize.ts";

/** Files, or rows as they would stand in one. */
export type SftData = string | readonly string[] | Iterable<Readonly<Record<string, unknown>>>;

export interface DatasetOptions extends Omit<TokenizeOptions, "onBadRow">, Omit<ReadOptions, "onBadRow"> {
  /** Rows that cannot be used are an error, or are left out and counted. Default "error". */
  readonly onBadRow?: "error" | "skip";
  /** Several rows share one. Default false. */
  readonly packing?: boolean;
}

export interface Dataset {
  /** What a batch is made of; packed when asked. */
  readonly examples: readonly Example[];
  /** Before packing. */
  readonly unpacked: readonly Example[];
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  readonly packed: boolean;
}

const isPaths = (data: SftData): data is string | readonly string[] =>
  typeof data === "string" || (Array.isArray(data) && data.length > 0 && typeof data[0] === "string");

async function* rowsOf(data: SftData, options: ReadOptions): AsyncIterable<Sourced<SftRow>> {
  if (isPaths(data)) yield* readSftRows(data, options);
  else {
    let line = 0;
    for (const value of data) {
      const source = { file: "row", line: ++line };
      try {
        yield { ...readSftRow(value), source };
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        if (!options.onBadRow) throw new DataError(`${showSource(source)}: ${error.message}`);
        options.onBadRow(source, error.message);
      }
    }
  }
}

/**
 * Reads and tokenises everything.
 *
 * @throws DataError for unusable rows (unless they are skipped), and when no example is left
 */
export async function loadDataset(
  data: SftData,
  tokenizer: Tokenizer,
  options: DatasetOptions,
): Promise<Dataset> {
  const { onBadRow = "error", packing = false, separator, ...tokenize } = options;
  const skipped: string[] = [];
  const skip = (source: Sourced<SftRow>["source"], reason: string) => {
    skipped.push(`${showSource(source)}: ${reason}`);
  };
  const isSkipping = onBadRow === "skip";
  const unpacked: Example[] = [];
  let rows = 0;
  for await (const row of rowsOf(data, {
    ...(separator !== undefined && { separator }),
    ...(isSkipping && { onBadRow: skip }),
  })) {
    rows++;
    // Rows that the truncation "drop" takes out are counted too, and are no error.
    const drops = isSkipping || tokenize.truncation === "drop";
    const told = drops
      ? { onBadRow: (bad: Sourced<SftRow>, reason: string) => skip(bad.source, reason) }
      : {};
    unpacked.push(...tokenizeRow(row, tokenizer, { ...tokenize, ...told }));
  }
  if (unpacked.length === 0)
    throw new DataError(
      skipped.length > 0
        ? `no row can be used, ${skipped.length} were left out; the first: ${skipped[0]}`
        : "data is required, there are no rows",
    );
  const examples = packing ? packExamples(unpacked, tokenize.maxLength) : unpacked;
  return { examples, unpacked, rows, skipped, packed: packing };
}
