/** What a format of rows is: the columns that it needs, and how they become one of the shapes of rows.ts. */
import type { z } from "zod";
import { DataError } from "../errors.ts";
import type { Columns, Row, RowKind, RowOf } from "../rows.ts";
import { firstIssue, inOurWords } from "./columns.ts";

export interface Format {
  /** As it is named in options. */
  readonly name: string;
  readonly kind: RowKind;
  /** Columns that a row must have. */
  readonly required: readonly string[];
  /** Columns that are read, the required ones among them. */
  readonly columns: readonly string[];
  /** What must hold besides the columns' names for a row to be recognised. */
  readonly when: (row: Columns) => boolean;
  /** @throws DataError with column and reason. */
  readonly read: (row: Columns, options: ReadingOptions) => Row;
}

export interface ReadingOptions {
  /** The model reads chat messages: rows that are written dialogues become messages. */
  readonly chat: boolean;
}

/** A row of the table. The schema is strict about what it names and leaves other columns alone. */
export function format<S extends z.ZodObject, K extends RowKind>(definition: {
  readonly name: string;
  readonly kind: K;
  readonly schema: S;
  readonly when?: (row: Columns) => boolean;
  readonly read: (row: z.infer<S>, options: ReadingOptions) => Omit<RowOf<K>, "kind">;
}): Format {
  const { name, kind, schema, when = () => true, read } = definition;
  const shape = Object.entries(schema.shape) as [string, z.ZodType][];
  return {
    name,
    kind,
    columns: shape.map(([column]) => column),
    required: shape.filter(([, type]) => !type.safeParse(undefined).success).map(([column]) => column),
    when,
    read(row, options) {
      const result = schema.safeParse(present(row), { error: inOurWords });
      if (!result.success) throw new DataError(firstIssue(result.error));
      return { ...read(result.data, options), kind } as unknown as Row;
    },
  };
}

/** Tables write null where a row has no value in a column. */
const present = (row: Columns): Columns =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null && value !== undefined));

/** The required columns that a row lacks. */
export const missingColumns = ({ required }: Format, row: Columns): string[] =>
  required.filter((column) => row[column] === undefined || row[column] === null);
