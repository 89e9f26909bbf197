/** Rows of Parquet files, one row group at a time (Node). */
import * as zlib from "node:zlib";
import { type Compressors, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { asyncBufferFromFile } from "hyparquet/src/node.js";
import { DataError } from "./errors.ts";
import type { RawRow } from "./node-reader.ts";
import { checkFile } from "./node-text-stream.ts";

/** Node has it from 22.15 on. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array };

/** Besides Snappy, which hyparquet has. */
const compressors: Compressors = {
  GZIP: (bytes) => zlib.gunzipSync(bytes),
  BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
  ZSTD: (bytes) => {
    if (!zstdDecompressSync)
      throw new DataError("it is compressed with Zstandard, which needs Node 22.15; write it with Snappy");
    return zstdDecompressSync(bytes);
  },
};

/** The line of a row is its number in the file. */
export async function* parquetRows(file: string): AsyncIterable<RawRow> {
  await checkFile(file);
  try {
    const buffer = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(buffer);
    let line = 0;
    for (const { num_rows } of metadata.row_groups) {
      const rowEnd = line + Number(num_rows);
      const rows = await parquetReadObjects({ file: buffer, metadata, compressors, rowStart: line, rowEnd });
      for (const row of rows) yield { value: plain(row), source: { file, line: ++line } };
    }
  } catch (cause) {
    throw new DataError(`${file}: cannot be read as Parquet: ${(cause as Error).message}`, { cause });
  }
}

/** Values as JSON would have them: 64-bit integers become numbers. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value))
    return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}
