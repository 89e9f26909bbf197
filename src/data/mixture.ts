/** Several lists of rows as one: after each other, or mixed in proportion to weights. */
import { permutation } from "../graph/random.ts";
import { DataError } from "./errors.ts";
import { type RowList, selected } from "./list.ts";

/**
 * A mixture ends when its first part runs out, so that no row comes twice, or when its last one does, and then the
 * shorter parts come again (as `stopping_strategy` of Hugging Face's interleave_datasets).
 */
export const mixtureEnds = ["first_exhausted", "all_exhausted"] as const;
export type MixtureEnd = (typeof mixtureEnds)[number];

export interface MixtureOptions {
  readonly seed?: number;
  readonly mixtureEnd?: MixtureEnd;
}

/**
 * Row n of the mixture comes from the part that is furthest behind its share, so every stretch has the proportions;
 * which rows of a part come, and in which order, is a function of the seed.
 */
export function mixture<T>(
  parts: readonly { readonly items: RowList<T>; readonly weight?: number }[],
  { seed = 42, mixtureEnd = "first_exhausted" }: MixtureOptions = {},
): RowList<T> {
  const at = locate(parts.map(({ items }) => items));
  const lengths = parts.map(({ items }) => items.length);
  if (parts.every(({ weight }) => weight === undefined)) {
    if (parts.length === 1) return (parts[0] as { items: RowList<T> }).items;
    return selected(
      Uint32Array.from({ length: sum(lengths) }, (_, i) => i),
      at,
    );
  }
  const weights = parts.map(({ weight }) => weight ?? 1);
  if (weights.some((weight) => !(weight > 0 && weight < Infinity)))
    throw new DataError(`weight: a number above 0 is required for each part, got ${weights.join(", ")}`);
  const total = sum(weights);
  const rounds = lengths.map((n, i) => (n * total) / (weights[i] as number));
  const size = Math.floor((mixtureEnd === "first_exhausted" ? Math.min : Math.max)(...rounds) + 1e-9);
  const orders = lengths.map((n, i) => permutation(n, seed, i));
  const starts = lengths.map((_, i) => sum(lengths.slice(0, i)));
  const taken = lengths.map(() => 0);
  const order = new Uint32Array(size);
  for (let n = 0; n < size; n++) {
    const behind = weights.map((weight, i) => ((n + 1) * weight) / total - (taken[i] as number));
    const part = behind.indexOf(Math.max(...behind));
    const own = orders[part] as Uint32Array;
    order[n] = (starts[part] as number) + (own[(taken[part] as number) % own.length] as number);
    taken[part] = (taken[part] as number) + 1;
  }
  return selected(order, at);
}

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** Row i of all lists, one after the other. */
const locate =
  <T>(lists: readonly RowList<T>[]) =>
  (index: number): T => {
    let i = index;
    for (const list of lists) {
      if (i < list.length) return list.at(i) as T;
      i -= list.length;
    }
    throw new RangeError(`there is no row ${index}`);
  };
