/**
 * What one row of data may be, once its format is known (see formats/): strings, or chat messages, in a few shapes
 * that every trainer reads, whatever the file called its columns.
 */

/** Where a row stands: the file and its line, counted from 1 (in arrays and tables, the number of the row). */
export interface Source {
  readonly file: string;
  readonly line: number;
}

export const showSource = ({ file, line }: Source): string => `${file}:${line}`;

export interface Message {
  readonly role: string;
  readonly content: string;
  /** `tool_calls`, `name` and what else a chat template may read. */
  readonly [key: string]: unknown;
}

/** A string, or chat messages. */
export type Text = string | readonly Message[];

/** A row as it stands in the file. */
export type Columns = Readonly<Record<string, unknown>>;

interface WithPrompt {
  /** Messages end before the assistant's turn. */
  readonly prompt: Text;
}

interface WithCompletion extends WithPrompt {
  /** Like the prompt a string, or messages. */
  readonly completion: Text;
}

/** The shapes by name; prompt and completions of one row are all strings, or all messages. */
export interface RowShapes {
  text: { readonly text: string };
  messages: { readonly messages: readonly Message[] };
  prompt: WithPrompt;
  completion: WithCompletion;
  preference: WithPrompt & {
    readonly chosen: Text;
    readonly rejected: Text;
    /** How much better the chosen one is, in units of the reward. */
    readonly margin?: number;
    /** Neither is better. */
    readonly tie?: boolean;
  };
  /** Several completions of one prompt; a lower rank is better, equal ranks are ties. */
  ranking: WithPrompt & { readonly completions: readonly Text[]; readonly ranks: readonly number[] };
  /** A completion and how good it is; more is better. */
  rating: WithCompletion & { readonly rating: number };
  /** A completion that is desirable, or is not. */
  label: WithCompletion & { readonly label: boolean };
  /** The steps of a solution, and whether each is correct. */
  steps: WithPrompt & { readonly completions: readonly string[]; readonly labels: readonly boolean[] };
}

export type RowKind = keyof RowShapes;

/** One shape, or several as a union that `kind` tells apart. */
export type RowOf<K extends RowKind> = {
  [P in K]: RowShapes[P] & { readonly kind: P; readonly tools?: readonly object[] };
}[K];

export type Row = RowOf<RowKind>;

export type Sourced<T> = T & {
  readonly source: Source;
  /** The row as it stands in the file. */
  readonly row: Columns;
  /** The columns that its format reads. */
  readonly columns: readonly string[];
};

/** The columns of a row except these. */
export const without = (row: Columns, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)));
