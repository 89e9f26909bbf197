/** How often one set of scores beats another on the same prompts; a tie counts half. */
import { AttuneError } from "../graph/errors.ts";
import { type BootstrapOptions, bootstrap } from "./bootstrap.ts";

export interface WinRate {
  /** Share of the prompts on which the first is better, from 0 to 1. */
  readonly rate: number;
  readonly low: number;
  readonly high: number;
  /** Prompts. */
  readonly n: number;
}

/**
 * The win rate of `a` over `b`, whose scores are of the same prompts in the same order, with its bootstrap interval.
 *
 * @throws AttuneError when they are of different lengths
 */
export function winRate(a: ArrayLike<number>, b: ArrayLike<number>, options: BootstrapOptions = {}): WinRate {
  if (a.length !== b.length)
    throw new AttuneError(
      `winRate: scores of the same prompts are required, got ${a.length} against ${b.length}`,
    );
  const wins = Array.from(a, (score, i) => 0.5 + 0.5 * Math.sign(score - (b[i] as number)));
  const { mean: rate, low, high } = bootstrap(wins, undefined, options);
  return { rate, low, high, n: a.length };
}
