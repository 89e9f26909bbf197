/** What a reader of files gives, and how it speaks of rows that it cannot read. */
import { DataError } from "./errors.ts";
import { type Source, showSource } from "./rows.ts";

export interface ReadOptions {
  /** Cuts plain text into documents; without it a file is one document. */
  readonly separator?: string;
  /** Told every row that cannot be read; without it the first one is an error. */
  readonly onBadRow?: (source: Source, reason: string) => void;
}

/** A value of a file (parsed JSON, a row of a table, or a document of text) and its place. */
export interface RawRow {
  readonly value: unknown;
  readonly source: Source;
}

export type Reader = (path: string, options: ReadOptions) => AsyncIterable<RawRow>;

/** @throws DataError unless somebody wants to be told instead */
export function tellBadRow(source: Source, reason: string, { onBadRow }: ReadOptions): void {
  if (!onBadRow) throw new DataError(`${showSource(source)}: ${reason}; correct the row`);
  onBadRow(source, reason);
}
