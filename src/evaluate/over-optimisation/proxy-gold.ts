/**
 * What a proxy thinks beside what the gold reward says: on which responses they are farthest apart, and how well the
 * proxy judges pairs of the policy's own responses the farther the policy has gone.
 */
import { mean, standardDeviation } from "../bootstrap.ts";
import { type Calibration, marginCalibration } from "../calibration.ts";
import { spearman } from "../correlation.ts";

/** How scores are distributed on the reference's own responses. */
export interface Scale {
  readonly mean: number;
  readonly std: number;
}

export const scaleOf = (scores: readonly number[]): Scale => ({
  mean: mean(scores),
  std: standardDeviation(scores) || 1,
});

export interface Gap {
  /** Place of the response. */
  readonly index: number;
  /** z_proxy - z_gold, in standard deviations of the reference's responses. */
  readonly gap: number;
}

/** The `count` responses that the proxy overrates most, the widest gap first. */
export function widestGaps(
  proxy: readonly number[],
  gold: readonly number[],
  {
    scales,
    count = 8,
  }: { readonly scales: Readonly<Record<"proxy" | "gold", Scale>>; readonly count?: number },
): Gap[] {
  const z = (value: number, { mean: middle, std }: Scale) => (value - middle) / std;
  return proxy
    .map((value, index) => ({ index, gap: z(value, scales.proxy) - z(gold[index] as number, scales.gold) }))
    .sort((a, b) => b.gap - a.gap || a.index - b.index)
    .slice(0, count);
}

/** Two responses of one policy to one prompt. */
export interface OwnPair {
  /** KL of the policy, in nats a response. */
  readonly kl: number;
  readonly proxy: readonly [number, number];
  readonly gold: readonly [number, number];
}

export interface JudgeBucket {
  /** KL from low up to high, in nats a response. */
  readonly low: number;
  readonly high: number;
  /** Pairs that the gold reward tells apart. */
  readonly pairs: number;
  /** Share of them that the proxy orders as the gold reward does; a tie of the proxy counts half. */
  readonly accuracy: number;
  /** Of sigmoid(margin * scale), for proxies whose margins are log-odds. */
  readonly calibration?: Calibration;
  /** Spearman's rho of proxy and gold over all responses of the bucket. */
  readonly correlation: number;
}

export interface JudgeOptions {
  /** Ends of the buckets, ascending, from 0 on. Default: 0, 0.5, 1, 2, 4, ... */
  readonly edges?: readonly number[];
  /** What makes log-odds of a proxy's margin: the standard deviation that a reward model divides by. */
  readonly scale?: number;
}

const defaultEdges = [0, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, Number.POSITIVE_INFINITY];

/** The proxy as a judge of the policy's own pairs, by how far the policy has gone. */
export function judgeByKl(
  pairs: readonly OwnPair[],
  { edges = defaultEdges, scale }: JudgeOptions = {},
): JudgeBucket[] {
  return edges.slice(1).flatMap((high, k): JudgeBucket[] => {
    const low = edges[k] as number;
    const inside = pairs.filter(({ kl }) => Math.max(0, kl) >= low && Math.max(0, kl) < high);
    const decided = inside.filter(({ gold: [a, b] }) => a !== b);
    if (decided.length === 0) return [];
    // Positive when the proxy prefers what the gold reward prefers.
    const margins = decided.map(({ proxy, gold }) => (proxy[0] - proxy[1]) * Math.sign(gold[0] - gold[1]));
    return [
      {
        low,
        high,
        pairs: decided.length,
        accuracy: mean(margins.map((margin) => 0.5 + 0.5 * Math.sign(margin))),
        ...(scale !== undefined && {
          calibration: marginCalibration(margins.map((margin) => margin * scale)),
        }),
        correlation: spearman(
          inside.flatMap(({ proxy }) => [...proxy]),
          inside.flatMap(({ gold }) => [...gold]),
        ),
      },
    ];
  });
}
