/**
 * Preferences as the models of choice draw them, of responses to x from the reference:
 *
 *     pairs      Bradley and Terry 1952: the first of two is chosen with probability sigmoid(r(x, y1) - r(x, y2))
 *     rankings   Plackett 1975, Luce 1959: the best of the rest is y with probability e^r(x, y) / sum e^r
 *     labels     a response is desirable with probability sigmoid(r(x, y))
 */
import { uniform } from "../graph/random.ts";
import type { EnumerableProblem, LogPolicy } from "./optimum.ts";

/** Places of a prompt and of two of its responses in their problem. */
export interface DrawnPair {
  readonly prompt: number;
  readonly chosen: number;
  readonly rejected: number;
}

/** Draws responses of a reference: place of a prompt and a number in [0, 1) to the place of a response. */
function drawerOf(reference: LogPolicy): (x: number, u: number) => number {
  const cumulative = reference.map((row) => {
    let sum = 0;
    return row.map((logProb) => (sum += Math.exp(logProb)));
  });
  return (x, u) => {
    const sums = cumulative[x] as Float64Array;
    const aim = u * (sums.at(-1) as number);
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < aim) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export interface DrawOptions {
  readonly n: number;
  readonly seed?: number;
}

/** `n` pairs of different responses, the prompts in turn; the same for the same seed. */
export function drawPreferences(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  reference: LogPolicy,
  { n, seed = 0 }: DrawOptions,
): DrawnPair[] {
  const draw = drawerOf(reference);
  return Array.from({ length: n }, (_, i) => {
    const prompt = i % reference.length;
    const first = draw(prompt, uniform(seed, i, 0));
    let second = first;
    for (let attempt = 1; second === first; attempt++) second = draw(prompt, uniform(seed, i, attempt));
    const row = rewards[prompt] as Float64Array;
    const margin = (row[first] as number) - (row[second] as number);
    const isFirst = uniform(seed, i, -1) < sigmoid(margin);
    return isFirst
      ? { prompt, chosen: first, rejected: second }
      : { prompt, chosen: second, rejected: first };
  });
}

/** Places of a prompt and of different responses, the best first. */
export interface DrawnRanking {
  readonly prompt: number;
  readonly responses: readonly number[];
}

/** `n` rankings of `size` different responses; a ranking is the order of r plus a Gumbel variable each. */
export function drawRankings(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  reference: LogPolicy,
  { n, size, seed = 0 }: DrawOptions & { readonly size: number },
): DrawnRanking[] {
  const draw = drawerOf(reference);
  return Array.from({ length: n }, (_, i) => {
    const prompt = i % reference.length;
    const drawn = new Set<number>();
    for (let attempt = 0; drawn.size < size; attempt++) drawn.add(draw(prompt, uniform(seed, i, attempt)));
    const worth = [...drawn].map((y, k) => {
      const gumbel = -Math.log(-Math.log(uniform(seed, i, -1 - k)));
      return { y, value: ((rewards[prompt] as Float64Array)[y] as number) + gumbel };
    });
    return { prompt, responses: worth.sort((a, b) => b.value - a.value).map(({ y }) => y) };
  });
}

/** Places of a prompt and of a response, and whether that was found desirable. */
export interface DrawnLabel {
  readonly prompt: number;
  readonly response: number;
  readonly label: boolean;
}

/** `n` labelled responses. */
export function drawLabels(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  reference: LogPolicy,
  { n, seed = 0 }: DrawOptions,
): DrawnLabel[] {
  const draw = drawerOf(reference);
  return Array.from({ length: n }, (_, i) => {
    const prompt = i % reference.length;
    const response = draw(prompt, uniform(seed, i, 0));
    const worth = (rewards[prompt] as Float64Array)[response] as number;
    return { prompt, response, label: uniform(seed, i, -1) < sigmoid(worth) };
  });
}
