/**
 * Reads data files row by row (Node): plain text, JSON lines and arrays, CSV, each also gzipped, and Parquet.
 *
 * Rows are streamed, so that a file may be larger than memory. A row that cannot be read is an error that names file,
 * line and reason, or is told to `onBadRow` and left out.
 */
import { DataError } from "./errors.ts";
import type { RawRow, Reader, ReadOptions } from "./node-reader.ts";
import { joined, textOf } from "./node-text-stream.ts";

export type { RawRow, ReadOptions };

/** How files are read, by the end of their names without `.gz`; a name without an end is plain text. */
const readers: readonly [RegExp, () => Promise<Reader> | Reader][] = [
  [/\.(jsonl|ndjson)$/i, async () => (await import("./node-json.ts")).jsonLines],
  [/\.json$/i, async () => (await import("./node-json.ts")).jsonArray],
  [/\.(csv|tsv)$/i, async () => (await import("./node-csv.ts")).separatedValues],
  [/\.parquet$/i, async () => (await import("./node-parquet.ts")).parquetRows],
  [/(^|[/\\])[^./\\]+$|\.(txt|text|md)$/i, () => plainText],
];

/** Does a name end as that of a table of rows? */
export const isDataFile = (path: string): boolean =>
  /\.(jsonl|ndjson|json|csv|tsv|txt|text)(\.gz)?$|\.parquet$/i.test(path);

/**
 * The rows of a file as they are written.
 *
 * @throws DataError when the file is missing, empty, no UTF-8 or damaged
 */
export async function* readRawRows(path: string, options: ReadOptions = {}): AsyncIterable<RawRow> {
  const name = path.replace(/\.gz$/i, "");
  const [, load] = readers.find(([pattern]) => pattern.test(name)) ?? [];
  if (!load)
    throw new DataError(
      `${path}: this kind of file is not read; .txt, .md, .jsonl, .json, .csv and .tsv are, each also .gz, and .parquet`,
    );
  const reader = await load();
  let count = 0;
  const { onBadRow } = options;
  const counting = onBadRow && {
    onBadRow: (...bad: Parameters<typeof onBadRow>) => {
      count++;
      onBadRow(...bad);
    },
  };
  for await (const row of reader(path, { ...options, ...counting })) {
    count++;
    yield row;
  }
  if (count === 0) throw new DataError(`${path}: the file has no rows; data is required`);
}

async function* plainText(file: string, { separator }: ReadOptions): AsyncIterable<RawRow> {
  const pieces = textOf(file);
  let line = 1;
  const document = (text: string) => {
    const source = { file, line: line + (/^\s*/.exec(text)?.[0].split("\n").length ?? 1) - 1 };
    line += text.split("\n").length - 1;
    return { value: { text: separator === undefined ? text : text.trim() }, source };
  };
  if (separator === undefined) {
    const text = await joined(pieces);
    if (text.trim() !== "") yield document(text);
    return;
  }
  let rest = "";
  for await (const piece of pieces) {
    const documents = (rest + piece).split(separator);
    rest = documents.pop() as string;
    for (const text of documents) {
      const row = document(text);
      line += separator.split("\n").length - 1;
      if (row.value.text !== "") yield row;
    }
  }
  if (rest.trim() !== "") yield document(rest);
}
