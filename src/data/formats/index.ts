/** Formats of rows: one table, from which a row's format is recognised by its columns, or taken by name. */
import { didYouMean } from "../../graph/nearest.ts";
import { DataError } from "../errors.ts";
import type { Columns, Row, RowKind, RowOf, Text } from "../rows.ts";
import { shown } from "./columns.ts";
import { type Format, missingColumns, type ReadingOptions } from "./format.ts";
import { publishedPreferences, publishedTexts } from "./published.ts";
import { bareFormats, trlFormats } from "./trl.ts";

/** The formats, the more telling columns first. A format is a row. */
export const formats: readonly Format[] = [
  ...publishedPreferences,
  ...trlFormats,
  ...publishedTexts,
  ...bareFormats,
];

export const formatNames: readonly string[] = formats.map(({ name }) => name);

/** What a reader wants of rows. */
export interface Purpose<K extends RowKind = RowKind> {
  /** For messages: "preferences". */
  readonly name: string;
  readonly kinds: readonly K[];
  /** Kinds that are passed over, so that a row may be recognised as a more general one. */
  readonly ignores?: readonly RowKind[];
}

/** The format of that name. */
export function formatNamed(name: string): Format {
  const found = formats.find((format) => format.name === name);
  if (!found) throw new DataError(`format ${name} is unknown${didYouMean(name, formatNames)}`);
  return found;
}

/** The first format of the table that a row fits, whatever it is wanted for. */
export const detectFormat = (row: Columns, ignores: readonly RowKind[] = []): Format | undefined =>
  formats.find((f) => !ignores.includes(f.kind) && missingColumns(f, row).length === 0 && f.when(row));

/**
 * A row as one of the wanted shapes.
 *
 * @throws DataError with the reason; the caller knows file and line
 */
export function readRow<K extends RowKind>(
  value: unknown,
  purpose: Purpose<K>,
  options: ReadingOptions & { readonly format?: Format },
): { row: RowOf<K>; format: Format } {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DataError(`a row must be a JSON object, got ${shown(value)}`);
  const columns = value as Columns;
  const format = options.format ?? detectFormat(columns, purpose.ignores);
  if (!format || !(purpose.kinds as readonly RowKind[]).includes(format.kind))
    throw new DataError(refusal(columns, purpose, format));
  const missing = missingColumns(format, columns);
  if (missing.length > 0) throw new DataError(missingMessage(format, columns, missing));
  const row = format.read(columns, options);
  for (const [name, text] of responsesOf(row)) if (isBlank(text)) throw new DataError(`${name}: is empty`);
  return { row: row as unknown as RowOf<K>, format };
}

/** What a row answers its prompt with, by name. */
function responsesOf(row: Row): readonly (readonly [string, Text])[] {
  if (row.kind === "preference")
    return [
      ["chosen", row.chosen],
      ["rejected", row.rejected],
    ];
  if (row.kind === "ranking") return row.completions.map((text, i) => [`completions[${i}]`, text] as const);
  return "completion" in row ? [["completion", row.completion]] : [];
}

/** Nothing is said, and nothing is called. */
const isBlank = (text: Text): boolean =>
  typeof text === "string"
    ? text.trim() === ""
    : text.every(({ content, tool_calls }) => content.trim() === "" && tool_calls === undefined);

const found = (row: Columns): string => `got ${Object.keys(row).join(", ") || "none"}`;

const missingMessage = (format: Format, row: Columns, missing: readonly string[]): string =>
  `the column${missing.length > 1 ? "s" : ""} ${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} missing ` +
  `(${format.name} needs ${format.required.join(", ")}), ${found(row)}`;

/** Columns that say nothing about which format is meant. */
const common = ["prompt", "text", "instruction", "messages", "completion"];

/** Why a row is none that is wanted: the format that is nearest, or what would be one. */
function refusal(row: Columns, { name, kinds }: Purpose, format: Format | undefined): string {
  const wanted = kinds.flatMap((kind) => formats.filter((f) => f.kind === kind));
  const nearest = wanted
    .map((f) => ({ f, missing: missingColumns(f, row) }))
    .filter(({ f, missing }) =>
      f.required.some((column) => !missing.includes(column) && !common.includes(column)),
    )
    .sort((a, b) => a.missing.length - b.missing.length)[0];
  if (nearest && nearest.missing.length > 0) return missingMessage(nearest.f, row, nearest.missing);
  if (format)
    return `these columns are of the format ${format.name} (${format.required.join(", ")}), ${name} are made of ${columnsOf(wanted)}; ${found(row)}`;
  return `the columns ${columnsOf(wanted)} are required, ${found(row)}`;
}

/** The columns of the first few formats, without those that ask for more than another. */
function columnsOf(wanted: readonly Format[]): string {
  const lists = wanted
    .filter((f) => trlFormats.includes(f) || bareFormats.includes(f))
    .slice(0, 6)
    .map(({ required }) => required);
  const isWithin = (a: readonly string[], b: readonly string[]) => a.every((column) => b.includes(column));
  const least = lists.filter(
    (list, i) =>
      !lists.some((other, k) => k !== i && isWithin(other, list) && (other.length < list.length || k < i)),
  );
  return least.map((columns) => columns.join(" and ")).join(", or ");
}
