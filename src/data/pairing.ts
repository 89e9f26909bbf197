/**
 * Rankings and ratings as pairs: of every two completions of a prompt, the better one is chosen; equal ones tie.
 *
 * Ratings stand in rows of their own, anywhere in a file: they wait in a store, and memory keeps a number for each.
 */
import type { BadRows } from "./bad-rows.ts";
import { type RowWork, usable } from "./node-load.ts";
import { createRowStore, type StoreOptions } from "./node-store.ts";
import type { RowOf, Sourced, Text } from "./rows.ts";

type Preference = Sourced<RowOf<"preference">>;
export type Rated = Sourced<RowOf<"rating">>;

/** Pairs from rows that are pairs, rankings, or ratings. */
export function createPairing<T>(
  toPair: (row: Preference) => T,
  options: StoreOptions = {},
): RowWork<"preference" | "ranking" | "rating", T> {
  const rated = createRatings(options);
  return {
    *each(row, bad) {
      if (row.kind === "rating") rated.push(row);
      else if (row.kind === "ranking") yield* usablePairs(rankedPairs(row), toPair, bad);
      else yield toPair(row);
    },
    *end(bad) {
      for (const rows of rated.groups()) yield* usablePairs(ratedPairs(rows), toPair, bad);
    },
  };
}

/** Ratings that wait for the end of the data, and then come by their prompts. */
export function createRatings(options: StoreOptions = {}) {
  const store = createRowStore<Rated>(options);
  const places = new Map<number, number[]>();
  return {
    push(row: Rated): void {
      const key = digest(row.prompt);
      const seen = places.get(key);
      if (seen) seen.push(store.length);
      else places.set(key, [store.length]);
      store.push(row);
    },
    *groups(): Iterable<readonly Rated[]> {
      for (const numbers of places.values()) yield* byPrompt(numbers.map((i) => store.at(i) as Rated));
    },
  };
}

function* usablePairs<T>(
  rows: Iterable<Preference>,
  toPair: (row: Preference) => T,
  bad: BadRows,
): Iterable<T> {
  for (const row of rows) {
    const made: T[] = [];
    usable(row.source, bad, () => made.push(toPair(row)));
    yield* made;
  }
}

/** Every two completions of a ranking. */
function* rankedPairs({
  prompt,
  completions,
  ranks,
  tools,
  source,
  row,
  columns,
}: Sourced<RowOf<"ranking">>) {
  const sides = completions.map((text, i) => ({ text, score: -(ranks[i] as number) }));
  for (const [i, a] of sides.entries())
    for (const b of sides.slice(i + 1))
      yield better(a, b, { prompt, source, row, columns, ...(tools && { tools }) });
}

/** Every two completions of a prompt; the difference of their ratings stays in the row as `rating_difference`. */
function* ratedPairs(rows: readonly Rated[]) {
  const sides = sidesOf(rows);
  for (const [i, a] of sides.entries())
    for (const b of sides.slice(i + 1)) {
      const { prompt, source, columns } = a.first;
      const row = { ...a.first.row, rating_difference: Math.abs(a.score - b.score) };
      yield better(a, b, { prompt, source, columns, row });
    }
}

/** The completions of one prompt; several ratings of one count as their mean. */
export function sidesOf(rows: readonly Rated[]) {
  const byText = new Map<string, Rated[]>();
  for (const row of rows) {
    const key = JSON.stringify(row.completion);
    byText.set(key, [...(byText.get(key) ?? []), row]);
  }
  return [...byText.values()].map((same) => ({
    first: same[0] as Rated,
    text: (same[0] as Rated).completion,
    score: same.reduce((sum, { rating }) => sum + rating, 0) / same.length,
  }));
}

interface Side {
  readonly text: Text;
  readonly score: number;
}

function better(a: Side, b: Side, rest: Omit<Preference, "kind" | "chosen" | "rejected">): Preference {
  const [chosen, rejected] = a.score >= b.score ? [a.text, b.text] : [b.text, a.text];
  return { ...rest, kind: "preference", chosen, rejected, ...(a.score === b.score && { tie: true }) };
}

/** The rows of each prompt, though prompts of one digest may differ. */
function byPrompt(rows: readonly Rated[]): Iterable<Rated[]> {
  const groups = new Map<string, Rated[]>();
  for (const row of rows) {
    const key = JSON.stringify(row.prompt);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return groups.values();
}

/** 32 bits of a prompt (FNV-1a). */
function digest(prompt: Text): number {
  let h = 0x811c9dc5;
  const key = JSON.stringify(prompt);
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
