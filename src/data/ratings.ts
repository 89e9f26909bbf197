/** Ratings as token ids, each on its own: what a reward model learns by regression. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { encodeExchange } from "./exchange.ts";
import { fitLength } from "./fit-length.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { loadRows } from "./node-load.ts";
import type { PreferenceOptions } from "./preferences.ts";
import { readsChat } from "./reads-chat.ts";
import { type Source, without } from "./rows.ts";

/** A completion, and how good it is. */
export interface RatedExample {
  readonly prompt: Int32Array;
  /** End-of-text included unless it was cut. */
  readonly completion: Int32Array;
  /** More is better. */
  readonly rating: number;
  readonly texts: { readonly prompt: string; readonly completion: string };
  /** Columns of the row besides those. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

export interface RatingDataset {
  readonly examples: RowList<RatedExample>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

export const ratingPurpose: Purpose<"rating"> = { name: "ratings", kinds: ["rating"] };

/**
 * Reads, checks and tokenises ratings.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when none is left
 */
export async function loadRatings(
  data: DataInput,
  tokenizer: Tokenizer,
  options: PreferenceOptions,
): Promise<RatingDataset> {
  const { items, ...counts } = await loadRows<"rating", RatedExample>(
    data,
    ratingPurpose,
    () => ({
      each: ({ prompt, completion, rating, source, row, columns }) => {
        const exchange = encodeExchange(prompt, [completion], tokenizer, options);
        const fitted = fitLength(exchange.prompt, exchange.completions, options);
        const texts = { prompt: exchange.texts.prompt, completion: exchange.texts.completions[0] as string };
        return [
          {
            prompt: fitted.prompt,
            completion: fitted.completions[0] as Int32Array,
            rating,
            texts,
            row: without(row, columns),
            source,
          },
        ];
      },
    }),
    { ...options, chat: readsChat(tokenizer, options) },
  );
  return { examples: items, ...counts };
}
