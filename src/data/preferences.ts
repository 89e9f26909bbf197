/** Preference data: pairs of responses as token ids, whatever the file had, pairs, rankings or ratings. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import { type ExchangeOptions, encodeExchange } from "./exchange.ts";
import { fitLength, type LengthOptions } from "./fit-length.ts";
import type { Purpose } from "./formats/index.ts";
import { equalPair } from "./formats/prompts.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { type LoadOptions, loadRows } from "./node-load.ts";
import type { Pair } from "./pair.ts";
import { createPairing } from "./pairing.ts";
import { readsChat } from "./reads-chat.ts";
import { type RowOf, type Sourced, without } from "./rows.ts";

export interface PreferenceOptions extends LoadOptions, LengthOptions, Omit<ExchangeOptions, "tools"> {}

export interface PreferenceDataset {
  readonly pairs: RowList<Pair>;
  /** Rows that were read; a ranking of n gives n (n - 1) / 2 pairs. */
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

export const preferencePurpose: Purpose<"preference" | "ranking" | "rating"> = {
  name: "preferences",
  kinds: ["preference", "ranking", "rating"],
};

/**
 * Reads, checks and tokenises preferences.
 *
 * Rows are bad whose prompts differ between chosen and rejected, whose responses are equal (also after cutting) or
 * empty, or that lack a column.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when no pair is left
 */
export async function loadPreferences(
  data: DataInput,
  tokenizer: Tokenizer,
  options: PreferenceOptions,
): Promise<PreferenceDataset> {
  const chat = readsChat(tokenizer, options);
  const toPair = (row: Sourced<RowOf<"preference">>) => tokenizePreference(row, tokenizer, options);
  const { items, ...counts } = await loadRows(data, preferencePurpose, () => createPairing(toPair, options), {
    ...options,
    chat,
  });
  return { pairs: items, ...counts };
}

/** @throws DataError with the reason when the row cannot be used */
export function tokenizePreference(
  row: Sourced<RowOf<"preference">>,
  tokenizer: Tokenizer,
  options: LengthOptions & ExchangeOptions,
): Pair {
  const { prompt, chosen, rejected, margin, tie, tools, source, columns } = row;
  if (JSON.stringify(chosen) === JSON.stringify(rejected)) throw new DataError(equalPair);
  const exchange = encodeExchange(prompt, [chosen, rejected], tokenizer, {
    ...options,
    ...(tools && { tools }),
  });
  const fitted = fitLength(exchange.prompt, exchange.completions, options);
  const [a, b] = fitted.completions as [Int32Array, Int32Array];
  if (a.length === b.length && a.every((id, i) => id === b[i]))
    throw new DataError(
      `chosen and rejected are the same after cutting to ${a.length} tokens: no label is left; raise max_length`,
    );
  if (fitted.prompt.length + Math.min(a.length, b.length) < 2)
    throw new DataError("a response has no label: at least two tokens are required");
  const [before, good, other] = [exchange.texts.prompt, ...exchange.texts.completions] as [
    string,
    string,
    string,
  ];
  return {
    prompt: fitted.prompt,
    chosen: a,
    rejected: b,
    ...(margin !== undefined && { margin }),
    ...(tie && { tie }),
    texts: { prompt: before, chosen: good, rejected: other },
    row: without(row.row, columns),
    source,
  };
}
