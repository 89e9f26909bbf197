/** Rows of CSV and TSV files: the first line names the columns, and every value is a string (Node). */
import { Readable } from "node:stream";
import { type CsvError, parse } from "csv-parse";
import { DataError } from "./errors.ts";
import { type RawRow, type ReadOptions, tellBadRow } from "./node-reader.ts";
import { textOf } from "./node-text-stream.ts";

/** The line of a row is the one where it begins. */
export async function* separatedValues(file: string, options: ReadOptions): AsyncIterable<RawRow> {
  const skipped: CsvError[] = [];
  let line = 1;
  const parser = parse({
    delimiter: /\.tsv(\.gz)?$/i.test(file) ? "\t" : ",",
    columns: true,
    info: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error) skipped.push(error);
    },
  });
  const tell = () => {
    for (const error of skipped.splice(0))
      tellBadRow({ file, line: Number(error.lines) || line }, reasonOf(error), options);
  };
  const source = Readable.from(textOf(file));
  source.on("error", (error) => parser.destroy(error));
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{
      record: Record<string, string>;
      info: { lines: number };
    }>) {
      tell();
      yield { value: record, source: { file, line: line + 1 } };
      line = info.lines;
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file}: not CSV: ${(error as Error).message}`, { cause: error });
  } finally {
    source.destroy();
  }
  tell();
}

const reasons: Readonly<Record<string, (error: CsvError) => string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS: ({ record, column }) =>
    `a value for each column is required, got ${(record as unknown[] | undefined)?.length ?? "another number"}${column ? ` at ${column}` : ""}`,
  CSV_QUOTE_NOT_CLOSED: () => "a quote is not closed",
  CSV_INVALID_CLOSING_QUOTE: () => "a quote ends inside a value; write it twice",
};

const reasonOf = (error: CsvError): string => reasons[error.code]?.(error) ?? `not CSV: ${error.message}`;
