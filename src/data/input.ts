/** What data may be given as: files, data sets on a hub, rows in memory, and several of them mixed. */
import type { Columns } from "./rows.ts";

/** Rows as they would stand in a file. */
export type RowsInMemory = Iterable<Columns> | AsyncIterable<Columns>;

/** One source of rows. */
export interface DataPart {
  /** A file, or a data set on the hub: `org/name[@revision][:split]`. */
  readonly path?: string;
  /** Rows in memory, instead of a path. */
  readonly rows?: RowsInMemory;
  /** Share of the mixture, in proportion to the other parts' weights; without weights all rows follow each other. */
  readonly weight?: number;
  /** Name of the rows' format. Default: recognised by the columns. */
  readonly format?: string;
}

/** A path (`PATH=WEIGHT` for a share of a mixture), a part, several of them, or rows in memory. */
export type DataInput = string | DataPart | readonly (string | DataPart)[] | RowsInMemory;

const keys = ["path", "rows", "weight", "format"];

const isPart = (value: unknown): value is DataPart =>
  typeof value === "object" &&
  value !== null &&
  (typeof (value as DataPart).path === "string" || typeof (value as DataPart).rows === "object") &&
  Object.keys(value).every((key) => keys.includes(key));

/** A path as it is named on the command line: `rows.jsonl`, or `rows.jsonl=3` with a weight. */
export function weighted(name: string): { readonly path: string; readonly weight?: number } {
  const [, path, weight] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(name) ?? [];
  return path === undefined ? { path: name } : { path, weight: Number(weight) };
}

/** The sources of rows, in order. */
export function partsOf(data: DataInput): readonly DataPart[] {
  if (typeof data === "string") return [weighted(data)];
  if (isPart(data)) return [data];
  if (
    Array.isArray(data) &&
    data.length > 0 &&
    data.every((item) => typeof item === "string" || isPart(item))
  )
    return data.map((item: string | DataPart) => (typeof item === "string" ? weighted(item) : item));
  return [{ rows: data as RowsInMemory }];
}
