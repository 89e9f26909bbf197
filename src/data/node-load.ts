/** From data as it was given to a list of what a trainer wants of each row, with a count of what was left out (Node). */
import { access } from "node:fs/promises";
import { AttuneError } from "../graph/errors.ts";
import { type BadRows, collectBadRows, listed, type OnBadRow } from "./bad-rows.ts";
import { DataError } from "./errors.ts";
import { DroppedRow } from "./fit-length.ts";
import { formatNamed, type Purpose, readRow } from "./formats/index.ts";
import { type DataInput, type DataPart, partsOf } from "./input.ts";
import type { RowList } from "./list.ts";
import { type MixtureOptions, mixture } from "./mixture.ts";
import { type RawRow, readRawRows } from "./node-files.ts";
import { datasetFiles, datasetName } from "./node-hub-data.ts";
import { createRowStore, type StoreOptions } from "./node-store.ts";
import type { Columns, RowKind, RowOf, Sourced } from "./rows.ts";

export interface LoadOptions extends MixtureOptions, StoreOptions {
  /** Rows that cannot be used are an error, or are left out and counted. Default "error". */
  readonly onBadRow?: OnBadRow;
  /** Every row counts, as where results are told in the order of the file: nobody is advised to leave some out. */
  readonly everyRow?: boolean;
  /** Name of the rows' format, for parts that name none. Default: recognised by the columns. */
  readonly format?: string;
  /** Cuts plain text into documents; without it a file is one document. */
  readonly separator?: string;
  readonly signal?: AbortSignal;
}

export interface Loaded<T> {
  readonly items: RowList<T>;
  /** Rows that were read, those left out among them. */
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

/** What becomes of the rows of one part. */
export interface RowWork<K extends RowKind, T> {
  /** What a row gives: nothing, one or several. @throws AttuneError with the reason when it cannot be used */
  readonly each: (row: Sourced<RowOf<K>>, bad: BadRows) => Iterable<T>;
  /** What follows once the part has been read. */
  readonly end?: (bad: BadRows) => Iterable<T>;
}

/**
 * Reads everything, part by part.
 *
 * @param work is called once for each part
 * @throws DataError for rows that cannot be used (unless they are skipped), and when none is left
 */
export async function loadRows<K extends RowKind, T>(
  data: DataInput,
  purpose: Purpose<K>,
  work: () => RowWork<K, T>,
  options: LoadOptions & { readonly chat: boolean },
): Promise<Loaded<T>> {
  const bad = collectBadRows(options.onBadRow, { canSkip: !options.everyRow });
  const formats: Record<string, number> = {};
  const parts: { items: RowList<T>; weight?: number }[] = [];
  let rows = 0;
  for (const part of partsOf(data)) {
    const items = createRowStore<T>(options);
    const { each, end } = work();
    const named = part.format ?? options.format;
    const format = named === undefined ? undefined : formatNamed(named);
    for await (const raw of rawRows(part, options, bad)) {
      options.signal?.throwIfAborted();
      rows++;
      usable(raw.source, bad, () => {
        const { row, format: found } = readRow(raw.value, purpose, { ...options, format });
        const { columns } = found;
        for (const item of each({ ...row, source: raw.source, row: raw.value as Columns, columns }, bad))
          items.push(item);
        formats[found.name] = (formats[found.name] ?? 0) + 1;
      });
    }
    for (const item of end?.(bad) ?? []) items.push(item);
    parts.push({ items, ...(part.weight !== undefined && { weight: part.weight }) });
  }
  bad.throwIfAny();
  const items = mixture(parts, options);
  if (items.length === 0)
    throw new DataError(
      bad.list.length > 0
        ? `no row can be used, ${bad.list.length} ${bad.list.length === 1 ? "was" : "were"} left out: ${listed(bad.list)}`
        : "data is required, there are no rows",
    );
  return { items, rows, skipped: bad.list, formats };
}

/** Does the work for a row; what is wrong with the row is told, what is wrong with the program is not. */
export function usable(source: RawRow["source"], bad: BadRows, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof DroppedRow) bad.leaveOut(source, error.message);
    else if (error instanceof AttuneError) bad.add(source, error.message);
    else throw error;
  }
}

/** Rows as they stand in the files; what cannot be read of them is passed over. */
export async function* rawRowsOf(
  data: DataInput,
  options: LoadOptions = {},
  bad?: BadRows,
): AsyncIterable<RawRow> {
  for (const part of partsOf(data)) yield* rawRows(part, options, bad);
}

async function* rawRows(
  part: DataPart,
  { separator, signal }: LoadOptions,
  bad?: BadRows,
): AsyncIterable<RawRow> {
  for (const path of part.path === undefined ? [] : await filesAt(part.path, signal))
    yield* readRawRows(path, {
      ...(separator !== undefined && { separator }),
      onBadRow: (source, reason) => bad?.add(source, reason),
    });
  let line = 0;
  for await (const value of part.rows ?? []) yield { value, source: { file: "row", line: ++line } };
}

/** A file is itself; what is none, and may be the name of a data set on the hub, is downloaded. */
async function filesAt(path: string, signal?: AbortSignal): Promise<readonly string[]> {
  const name = datasetName(path);
  const isThere =
    name === undefined ||
    (await access(path).then(
      () => true,
      () => false,
    ));
  return isThere ? [path] : datasetFiles(name, signal ? { signal } : {});
}
