/**
 * Ranked lists: a prompt and any number of responses as token ids, each with its rank, from rankings, from the ratings
 * of a prompt, or from pairs.
 */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { BadRows } from "./bad-rows.ts";
import { DataError } from "./errors.ts";
import { type ExchangeOptions, encodeExchange } from "./exchange.ts";
import { DroppedRow, fitLength, type LengthOptions } from "./fit-length.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { loadRows, usable } from "./node-load.ts";
import { createRatings, type Rated, sidesOf } from "./pairing.ts";
import type { PreferenceOptions } from "./preferences.ts";
import { readsChat } from "./reads-chat.ts";
import { type RowOf, type Source, type Sourced, without } from "./rows.ts";

export interface RankedList {
  readonly prompt: Int32Array;
  /** End-of-text included unless it was cut. */
  readonly responses: readonly Int32Array[];
  /** Of each response; a lower rank is better, equal ranks are ties. */
  readonly ranks: readonly number[];
  /** As the model sees them. */
  readonly texts: { readonly prompt: string; readonly completions: readonly string[] };
  /** Columns of the row besides those. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

export interface RankingDataset {
  readonly lists: RowList<RankedList>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

type Kinds = "ranking" | "rating" | "preference";
type Ranking = Sourced<RowOf<"ranking">>;

export const rankingPurpose: Purpose<Kinds> = {
  name: "ranked lists",
  kinds: ["ranking", "rating", "preference"],
};

/**
 * Reads, checks and tokenises ranked lists. Of completions that are equal to another one of their list (also after
 * cutting) the first stays; a list is left out whose completions all tie, or of which fewer than two are left.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when no list is left
 */
export async function loadRankings(
  data: DataInput,
  tokenizer: Tokenizer,
  options: PreferenceOptions,
): Promise<RankingDataset> {
  const chat = readsChat(tokenizer, options);
  const toList = (row: Ranking) => tokenizeRanking(row, tokenizer, options);
  const usableList = (row: Ranking, bad: BadRows): RankedList[] => {
    const made: RankedList[] = [];
    usable(row.source, bad, () => made.push(toList(row)));
    return made;
  };
  const { items, ...counts } = await loadRows(
    data,
    rankingPurpose,
    () => {
      const rated = createRatings(options);
      return {
        *each(row) {
          if (row.kind === "rating") rated.push(row);
          else yield toList(row.kind === "ranking" ? row : fromPair(row));
        },
        *end(bad) {
          for (const rows of rated.groups()) if (rows.length > 1) yield* usableList(fromRatings(rows), bad);
        },
      };
    },
    { ...options, chat },
  );
  return { lists: items, ...counts };
}

const fromPair = ({ kind: _, chosen, rejected, tie, ...rest }: Sourced<RowOf<"preference">>): Ranking => ({
  ...rest,
  kind: "ranking",
  completions: [chosen, rejected],
  ranks: [1, tie ? 1 : 2],
});

function fromRatings(rows: readonly Rated[]): Ranking {
  const sides = sidesOf(rows);
  const { prompt, source, columns, row } = rows[0] as Rated;
  return {
    ...{ kind: "ranking", prompt, source, columns, row },
    completions: sides.map(({ text }) => text),
    ranks: sides.map(({ score }) => 1 + sides.filter((other) => other.score > score).length),
  };
}

/** @throws DataError with the reason when the row cannot be used */
function tokenizeRanking(
  row: Ranking,
  tokenizer: Tokenizer,
  options: LengthOptions & ExchangeOptions,
): RankedList {
  const { prompt, completions, ranks, tools, source, columns } = row;
  const exchange = encodeExchange(prompt, completions, tokenizer, { ...options, ...(tools && { tools }) });
  const fitted = fitLength(exchange.prompt, exchange.completions, options);
  const seen = new Set<string>();
  const kept = fitted.completions.flatMap((ids, i) => {
    const key = ids.join();
    if (seen.has(key) || ids.length === 0) return [];
    seen.add(key);
    return [i];
  });
  const list = {
    responses: kept.map((i) => fitted.completions[i] as Int32Array),
    ranks: kept.map((i) => ranks[i] as number),
  };
  if (kept.length < 2)
    throw new DataError(`a ranking needs at least two different completions, ${kept.length} is left`);
  if (list.ranks.every((rank) => rank === list.ranks[0]))
    throw new DroppedRow("all completions of the ranking tie: there is no order to learn");
  return {
    prompt: fitted.prompt,
    ...list,
    texts: {
      prompt: exchange.texts.prompt,
      completions: kept.map((i) => exchange.texts.completions[i] as string),
    },
    row: without(row.row, columns),
    source,
  };
}
