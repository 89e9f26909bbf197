/** Texts of a file (Node): a text file is one, JSON lines have one in each row's `text`. */
import { DataError } from "./errors.ts";
import { readRawRows } from "./node-files.ts";
import { showSource } from "./rows.ts";

/** @throws DataError for a row without `text`, with its place */
export async function readTexts(path: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { value, source } of readRawRows(path)) {
    const text = (value as { text?: unknown } | null)?.text;
    if (typeof text !== "string")
      throw new DataError(`${showSource(source)}: a row needs the column text, a string; correct the row`);
    texts.push(text);
  }
  return texts;
}
