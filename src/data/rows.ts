/**
 * What one row of training data may be, and how it is recognised by its columns (TRL's names).
 *
 *     {"text": "..."}                                      one document
 *     {"messages": [{"role": "user", "content": "..."}]}   one conversation
 *     {"prompt": ..., "completion": ...}                   both strings, or both lists of messages
 */
import { z } from "zod";
import { DataError } from "./errors.ts";

/** Where a row stands: the file and its line, counted from 1 (for a JSON array, the number of the element). */
export interface Source {
  readonly file: string;
  readonly line: number;
}

export const showSource = ({ file, line }: Source): string => `${file}:${line}`;

export interface Message {
  readonly role: string;
  readonly content: string;
  readonly [key: string]: unknown;
}

export type SftRow =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "messages"; readonly messages: readonly Message[] }
  | { readonly kind: "prompt-completion"; readonly prompt: string; readonly completion: string }
  | {
      readonly kind: "chat-completion";
      readonly prompt: readonly Message[];
      readonly completion: readonly Message[];
    };

export type Sourced<T> = T & { readonly source: Source };

const messages = z
  .array(z.looseObject({ role: z.string().min(1), content: z.string() }))
  .min(1) as unknown as z.ZodType<Message[]>;
const text = z.string();

type Columns = Readonly<Record<string, unknown>>;

interface Format {
  /** The columns that make a row one of this kind. */
  readonly columns: readonly string[];
  readonly read: (row: Columns) => SftRow;
}

/** The formats, the more telling columns first. A format is a row. */
const formats: readonly Format[] = [
  {
    columns: ["prompt", "completion"],
    read: ({ prompt, completion }) =>
      Array.isArray(prompt) || Array.isArray(completion)
        ? {
            kind: "chat-completion",
            prompt: column("prompt", messages, prompt),
            completion: column("completion", messages, completion),
          }
        : {
            kind: "prompt-completion",
            prompt: column("prompt", text, prompt),
            completion: column("completion", text.min(1, "is empty"), completion),
          },
  },
  {
    columns: ["messages"],
    read: (row) => ({ kind: "messages", messages: column("messages", messages, row.messages) }),
  },
  {
    columns: ["text"],
    read: (row) => ({ kind: "text", text: column("text", text.min(1, "is empty"), row.text) }),
  },
];

function column<T>(name: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0] as z.core.$ZodIssue;
  throw new DataError(`${[name, ...path].join(".")}: ${message}`);
}

/**
 * A row as one of the kinds above.
 *
 * @throws DataError with the reason; the caller knows file and line
 */
export function readSftRow(value: unknown): SftRow {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DataError("a row must be a JSON object");
  const row = value as Columns;
  const format = formats.find(({ columns }) => columns.every((name) => row[name] != null));
  if (format) return format.read(row);
  const known = formats.map(({ columns }) => columns.join(" and ")).join(", or ");
  throw new DataError(`the columns ${known} are required, got ${Object.keys(row).join(", ") || "none"}`);
}
