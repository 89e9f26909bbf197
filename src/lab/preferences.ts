/**
 * Preferences as the Bradley-Terry model draws them (Bradley and Terry 1952): of two responses to x from the reference,
 * the first is chosen with probability sigmoid(r(x, y1) - r(x, y2)).
 */
import { uniform } from "../graph/random.ts";
import type { EnumerableProblem, LogPolicy } from "./optimum.ts";

/** Places of a prompt and of two of its responses in their problem. */
export interface DrawnPair {
  readonly prompt: number;
  readonly chosen: number;
  readonly rejected: number;
}

/** `n` pairs of different responses, the prompts in turn; the same for the same seed. */
export function drawPreferences(
  { rewards }: Pick<EnumerableProblem, "rewards">,
  reference: LogPolicy,
  { n, seed = 0 }: { n: number; seed?: number },
): DrawnPair[] {
  const cumulative = reference.map((row) => {
    let sum = 0;
    return row.map((logProb) => (sum += Math.exp(logProb)));
  });
  const draw = (x: number, u: number): number => {
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
  return Array.from({ length: n }, (_, i) => {
    const prompt = i % reference.length;
    const first = draw(prompt, uniform(seed, i, 0));
    let second = first;
    for (let attempt = 1; second === first; attempt++) second = draw(prompt, uniform(seed, i, attempt));
    const row = rewards[prompt] as Float64Array;
    const margin = (row[first] as number) - (row[second] as number);
    const isFirst = uniform(seed, i, -1) < 1 / (1 + Math.exp(-margin));
    return isFirst
      ? { prompt, chosen: first, rejected: second }
      : { prompt, chosen: second, rejected: first };
  });
}
