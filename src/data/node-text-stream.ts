/** A file's text in pieces, unpacked and decoded as it is read (Node). */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { DataError } from "./errors.ts";

/** @throws DataError when there is no such file */
export async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new DataError(`${path}: no such file`);
  if (found.isDirectory()) throw new DataError(`${path}: is a folder, a file is required`);
}

/**
 * The text of a file in pieces of whole characters, without a byte-order mark; `.gz` is unpacked.
 *
 * @throws DataError when the file is missing, damaged or no UTF-8
 */
export async function* textOf(path: string): AsyncIterable<string> {
  await checkFile(path);
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
  } finally {
    file.destroy();
  }
}

export async function joined(pieces: AsyncIterable<string>): Promise<string> {
  const all: string[] = [];
  for await (const piece of pieces) all.push(piece);
  return all.join("");
}

/** Lines without their ends. A line may come in many pieces, which are joined once. */
export async function* linesOf(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let open: string[] = [];
  for await (const piece of pieces) {
    const lines = piece.split("\n");
    open.push(lines.shift() as string);
    for (const line of lines) {
      yield open.join("");
      open = [line];
    }
  }
  const rest = open.join("");
  if (rest !== "") yield rest;
}
