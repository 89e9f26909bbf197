/** What rows are for: the loader that their format belongs to, and what it would give. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { collectBadRows, listed } from "./bad-rows.ts";
import { loadDataset } from "./dataset.ts";
import { DataError } from "./errors.ts";
import type { ExchangeOptions } from "./exchange.ts";
import type { LengthOptions } from "./fit-length.ts";
import { detectFormat, formatNamed } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import { loadLabels } from "./labels.ts";
import { type LoadOptions, rawRowsOf } from "./node-load.ts";
import { loadPreferences } from "./preferences.ts";
import {
  labelPreflight,
  type Preflight,
  preferencePreflight,
  preflight,
  promptPreflight,
} from "./preflight.ts";
import { loadPrompts } from "./prompts.ts";
import type { Columns, RowKind } from "./rows.ts";

export interface InspectOptions extends LoadOptions, Omit<ExchangeOptions, "tools">, Partial<LengthOptions> {}

export interface Inspection {
  /** What most of the first rows are: `preference`, `completion`, ... */
  readonly kind: RowKind;
  /** Columns of the first rows, and the share of them that has each. */
  readonly columns: Readonly<Record<string, number>>;
  readonly preflight: Preflight;
}

type Look = (
  data: DataInput,
  tokenizer: Tokenizer,
  options: InspectOptions & { maxLength: number },
) => Promise<Preflight>;

const texts: Look = async (data, tokenizer, options) =>
  preflight(await loadDataset(data, tokenizer, options), tokenizer);
const pairs: Look = async (data, tokenizer, options) =>
  preferencePreflight(await loadPreferences(data, tokenizer, options), tokenizer);
const prompts: Look = async (data, tokenizer, options) =>
  promptPreflight(
    await loadPrompts(data, tokenizer, {
      ...options,
      maxPromptLength: options.maxPromptLength ?? options.maxLength,
    }),
    tokenizer,
  );
const labels: Look = async (data, tokenizer, options) =>
  labelPreflight(await loadLabels(data, tokenizer, options), tokenizer);

/** How rows of a kind are looked at: as their trainer would read them. */
const looks: Record<RowKind, Look> = {
  text: texts,
  messages: texts,
  completion: texts,
  prompt: prompts,
  preference: pairs,
  ranking: pairs,
  rating: pairs,
  label: labels,
  steps: prompts,
};

/** Rows that say which kind the data is. */
const sampleSize = 100;

/**
 * Reads all rows as their format asks for; bad rows are counted unless `onBadRow` says otherwise.
 *
 * @throws DataError when no row has a known format
 */
export async function inspectData(
  data: DataInput,
  tokenizer: Tokenizer,
  { maxLength = 2 ** 31 - 1, onBadRow = "skip", ...options }: InspectOptions = {},
): Promise<Inspection> {
  const named = options.format === undefined ? undefined : formatNamed(options.format);
  const kinds = new Map<RowKind, number>();
  const columns: Record<string, number> = {};
  let rows = 0;
  const bad = collectBadRows("skip");
  for await (const { value } of rawRowsOf(data, options, bad)) {
    if (rows++ === sampleSize) break;
    if (typeof value !== "object" || value === null) continue;
    const kind = (named ?? detectFormat(value as Columns))?.kind;
    if (kind) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    for (const name of Object.keys(value)) columns[name] = (columns[name] ?? 0) + 1;
  }
  const [kind] = [...kinds].sort((a, b) => b[1] - a[1])[0] ?? [];
  if (kind === undefined && rows === 0 && bad.list.length > 0)
    throw new DataError(`no row can be used: ${listed(bad.list)}`);
  if (kind === undefined)
    throw new DataError(
      `no row has the columns of a known format, got ${Object.keys(columns).join(", ") || "none"}; docs/data.md lists them`,
    );
  const seen = Math.min(rows, sampleSize);
  return {
    kind,
    columns: Object.fromEntries(Object.entries(columns).map(([name, n]) => [name, n / seen])),
    preflight: await looks[kind](data, tokenizer, { ...options, maxLength, onBadRow }),
  };
}
