/**
 * Reads data files row by row (Node): plain text, JSON lines and JSON arrays, each also gzipped.
 *
 * Lines are streamed, so that a file may be larger than memory. A row that cannot be used is an error that names file,
 * line and reason, or is told to `onBadRow` and left out.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { DataError } from "./errors.ts";
import { type Source, showSource } from "./rows.ts";

export interface ReadOptions {
  /** Cuts plain text into documents; without it a file is one document. */
  readonly separator?: string;
  /** Told every row that cannot be used; without it the first one is an error. */
  readonly onBadRow?: (source: Source, reason: string) => void;
}

/** A value of a file (parsed JSON, or a document of text) and its place. */
export interface RawRow {
  readonly value: unknown;
  readonly source: Source;
}

/** How files are read, by the end of their names without `.gz`; a name without an end is plain text. */
const readers: readonly [
  RegExp,
  (path: string, pieces: AsyncIterable<string>, options: ReadOptions) => AsyncIterable<RawRow>,
][] = [
  [/\.(jsonl|ndjson)$/i, jsonLines],
  [/\.json$/i, jsonArray],
  [/(^|[/\\])[^./\\]+$|\.(txt|text|md)$/i, plainText],
];

/**
 * The rows of a file as they are written.
 *
 * @throws DataError when the file is missing, empty, no UTF-8 or damaged
 */
export async function* readRawRows(path: string, options: ReadOptions = {}): AsyncIterable<RawRow> {
  const name = path.replace(/\.gz$/i, "");
  const [, reader] = readers.find(([pattern]) => pattern.test(name)) ?? [];
  if (!reader)
    throw new DataError(
      `${path}: this kind of file is not read; .txt, .md, .jsonl and .json are, each also .gz`,
    );
  let count = 0;
  for await (const row of reader(path, textOf(path), options)) {
    count++;
    yield row;
  }
  if (count === 0) throw new DataError(`${path}: the file has no rows; data is required`);
}

function bad(source: Source, reason: string, { onBadRow }: ReadOptions): void {
  if (!onBadRow) throw new DataError(`${showSource(source)}: ${reason}; correct the row`);
  onBadRow(source, reason);
}

/** The text of a file in pieces of whole characters, without a byte-order mark. */
async function* textOf(path: string): AsyncIterable<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new DataError(`${path}: no such file`);
  if (found.isDirectory()) throw new DataError(`${path}: is a folder, a file is required`);
  const file = createReadStream(path);
  const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file;
  file.on("error", (error) => stream.destroy(error));
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>)
      yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason =
      code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "the text is not UTF-8" : `cannot be read: ${message}`;
    throw new DataError(`${path}: ${reason}`, { cause });
  }
}

async function* jsonLines(file: string, pieces: AsyncIterable<string>, options: ReadOptions) {
  let line = 0;
  for await (const text of linesOf(pieces)) {
    line++;
    if (text.trim() === "") continue;
    const source = { file, line };
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      bad(source, `not JSON: ${(error as Error).message}`, options);
      continue;
    }
    yield { value, source };
  }
}

async function* linesOf(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function* jsonArray(file: string, pieces: AsyncIterable<string>, _options: ReadOptions) {
  const text = await joined(pieces);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${file}: not JSON: ${(cause as Error).message}; one row a line is a .jsonl file`, {
      cause,
    });
  }
  if (!Array.isArray(value)) throw new DataError(`${file}: a JSON array of rows is required`);
  for (const [i, row] of value.entries()) yield { value: row as unknown, source: { file, line: i + 1 } };
}

async function* plainText(file: string, pieces: AsyncIterable<string>, { separator }: ReadOptions) {
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

async function joined(pieces: AsyncIterable<string>): Promise<string> {
  const all: string[] = [];
  for await (const piece of pieces) all.push(piece);
  return all.join("");
}
