/** How often one set of scores beats another on the same prompts, as it is and at equal length; a tie counts half. */
import { AttuneError } from "../graph/errors.ts";
import { type BootstrapOptions, bootstrap, bootstrapRows, standardDeviation } from "./bootstrap.ts";
import { fitLogistic, sigmoid } from "./logistic.ts";

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

export interface LengthControlledWinRate extends WinRate {
  /** phi: how much the log-odds of winning rise where the first is much longer, by tanh. */
  readonly lengthEffect: number;
}

/**
 * The win rate that would be if both answered at equal length (Dubois et al. 2024, length-controlled AlpacaEval):
 *
 *     P(a wins) = sigmoid(theta + phi tanh(d / std(d)))        d = length of a - length of b
 *
 * fitted by maximum likelihood to wins (1, 0, a tie 0.5); the rate is sigmoid(theta). AlpacaEval's third term, how hard
 * an instruction is, comes from the answers of other models and is left out, as it is the same for one pair of models.
 *
 * @param lengths of the responses, in tokens or characters
 * @throws AttuneError when the lists are of different lengths
 */
export function lengthControlledWinRate(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  lengths: { readonly a: ArrayLike<number>; readonly b: ArrayLike<number> },
  options: BootstrapOptions = {},
): LengthControlledWinRate {
  if (![b, lengths.a, lengths.b].every(({ length }) => length === a.length))
    throw new AttuneError(
      `lengthControlledWinRate: scores and lengths of the same prompts are required, got ${[a, b, lengths.a, lengths.b].map((list) => list.length).join(", ")}`,
    );
  const rows = Array.from(a, (score, i) => [
    0.5 + 0.5 * Math.sign(score - (b[i] as number)),
    (lengths.a[i] as number) - (lengths.b[i] as number),
  ]);
  const fitted = ([wins, differences]: readonly Float64Array[]): Float64Array => {
    const std = standardDeviation(differences as Float64Array);
    return fitLogistic(
      Array.from(wins as Float64Array, (y, i) => ({
        x: [1, std === 0 ? 0 : Math.tanh((differences?.[i] as number) / std)],
        y,
      })),
    );
  };
  const rate = (columns: readonly Float64Array[]) => sigmoid(fitted(columns)[0] as number);
  const { mean, low, high } = bootstrapRows(rows, rate, options);
  const whole = [0, 1].map((k) => Float64Array.from(rows, (row) => row[k] as number));
  return { rate: mean, low, high, n: rows.length, lengthEffect: fitted(whole)[1] as number };
}
