/** Seeded choices: the n-th choice of a row is a function of seed, stream, row and n, on every machine. */
import { randomBits, uniform } from "../../graph/random.ts";

/** Draws for one row of one stream of data. */
export interface Draw {
  /** A number in (0, 1). */
  number(): number;
  /** A whole number from 0 to n - 1. */
  below(n: number): number;
  /** True with probability p. */
  chance(p: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** An element of `list`, as often as its weight says; 1 where it has none. */
  weighted<T extends { readonly weight?: number }>(list: readonly T[]): T;
  /** An element of `list` that is not `taken`. */
  other<T>(list: readonly T[], taken: T): T;
}

export function createDraw(...key: readonly number[]): Draw {
  let n = 0;
  const number = () => uniform(...key, n++);
  const below = (count: number) => Math.floor(number() * count);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  return {
    number,
    below,
    chance: (p) => number() < p,
    pick,
    weighted(list) {
      let left = number() * list.reduce((sum, { weight = 1 }) => sum + weight, 0);
      for (const item of list) {
        left -= item.weight ?? 1;
        if (left < 0) return item;
      }
      return list.at(-1) as (typeof list)[number];
    },
    other: (list, taken) => pick(list.filter((item) => item !== taken)),
  };
}

/** 32 bits that depend on the whole text. */
export function hashText(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return randomBits(hash, text.length);
}
