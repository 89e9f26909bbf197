/** Rows of JSON: one a line, or the elements of one array, which are read as they come (Node). */
import { JSONParser } from "@streamparser/json";
import { DataError } from "./errors.ts";
import { type RawRow, type ReadOptions, tellBadRow } from "./node-reader.ts";
import { linesOf, textOf } from "./node-text-stream.ts";

export async function* jsonLines(file: string, options: ReadOptions): AsyncIterable<RawRow> {
  let line = 0;
  for await (const text of linesOf(textOf(file))) {
    line++;
    if (text.trim() === "") continue;
    const source = { file, line };
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      tellBadRow(source, `not JSON: ${(error as Error).message}`, options);
      continue;
    }
    yield { value, source };
  }
}

/** The line of a row is its number in the array. */
export async function* jsonArray(file: string): AsyncIterable<RawRow> {
  const parser = new JSONParser({ paths: ["$.*"], keepStack: false });
  let rows: unknown[] = [];
  let failure: string | undefined;
  parser.onValue = ({ value }) => void rows.push(value);
  parser.onError = ({ message }) => {
    failure ??= message;
  };
  let hasBegun = false;
  let line = 0;
  for await (const piece of textOf(file)) {
    const start = hasBegun ? undefined : piece.trimStart()[0];
    if (start === undefined && !hasBegun) continue;
    if (start !== undefined && start !== "[")
      throw new DataError(`${file}: a JSON array of rows is required; one row a line is a .jsonl file`);
    hasBegun = true;
    parser.write(piece);
    if (failure !== undefined)
      throw new DataError(
        `${file}: not JSON: ${failure} after row ${line + rows.length}; one row a line is a .jsonl file`,
      );
    for (const value of rows) yield { value, source: { file, line: ++line } };
    rows = [];
  }
  if (hasBegun && !parser.isEnded)
    throw new DataError(`${file}: not JSON: the array is not closed after row ${line}`);
}
