/**
 * Best-of-n without drawing again: from N samples a prompt, the expected reward of the sample that the proxy likes best
 * among n of them, averaged over all subsets (Nakano et al. 2021, appendix I; Gao et al. 2022):
 *
 *     E[gold of the best of n] = sum over i of C(i - 1, n - 1) / C(N, n) gold_(i),   i by ascending proxy, from 1
 *
 * It is unbiased for every n up to N. Samples that the proxy cannot tell apart are equally often the best.
 *
 *     KL(best-of-n || reference) <= log n - (n - 1) / n      with equality when no two responses tie
 */
import { EvaluateError } from "../perplexity.ts";

/** Scores of one prompt's samples, in one order. */
export interface ScoredSamples {
  readonly proxy: readonly number[];
  readonly gold: readonly number[];
}

/** log n - (n - 1) / n: nats a response. */
export const klOfBestOfN = (n: number): number => Math.log(n) - (n - 1) / n;

/** C(i - 1, n - 1) / C(N, n) for i = 1 ... N: how likely the i-th worst of N is the best of n. */
export function bestOfNWeights(total: number, n: number): Float64Array {
  if (!(Number.isInteger(n) && n >= 1 && n <= total))
    throw new EvaluateError(`best-of-n: a whole n from 1 to the ${total} samples is required, got ${n}`);
  const weights = new Float64Array(total);
  weights[total - 1] = n / total;
  for (let i = total; i > 1; i--)
    weights[i - 2] = i < n ? 0 : ((weights[i - 1] as number) * (i - n)) / (i - 1);
  return weights;
}

/**
 * The expected proxy and gold reward of one prompt's best of n.
 *
 * @throws EvaluateError when n is not from 1 to the number of samples, or the lists differ in length
 */
export function bestOfN({ proxy, gold }: ScoredSamples, n: number): { proxy: number; gold: number } {
  if (gold.length !== proxy.length)
    throw new EvaluateError(
      `best-of-n: a gold score for each of ${proxy.length} samples is required, got ${gold.length}`,
    );
  const weights = bestOfNWeights(proxy.length, n);
  const order = proxy.map((_, i) => i).sort((a, b) => (proxy[a] as number) - (proxy[b] as number));
  const total = { proxy: 0, gold: 0 };
  for (let from = 0; from < order.length; ) {
    const value = proxy[order[from] as number] as number;
    let to = from;
    while (to < order.length && proxy[order[to] as number] === value) to++;
    let [weight, sum] = [0, 0];
    for (let i = from; i < to; i++) {
      weight += weights[i] as number;
      sum += gold[order[i] as number] as number;
    }
    total.proxy += weight * value;
    total.gold += (weight * sum) / (to - from);
    from = to;
  }
  return total;
}

/** 1, 2, 4, ... up to the number of samples, which is the last. */
export function powersUpTo(samples: number): number[] {
  const out: number[] = [];
  for (let n = 1; n < samples; n *= 2) out.push(n);
  return [...out, samples];
}
