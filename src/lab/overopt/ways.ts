/**
 * Ways to make a reward model, compared by where best-of-n turns: proxies whose names differ only behind a # are seeds
 * of one way, and every way is set beside the first.
 *
 *     gold_w(n) = mean over seeds and prompts of the gold reward of the best of n by way w          d* as in curve.ts
 *
 * All proxies chose from the same samples, so what is looked at are differences: prompts and seeds are drawn with
 * replacement, the same for every way, and each draw gives d* and the gold reward at the largest n of all ways. A curve
 * that still rises has its peak at infinity, one that falls from the start at 0.
 */

import {
  bestOfN,
  fitCurve,
  highestAt,
  klOfBestOfN,
  less,
  mean,
  powersUpTo,
  type Range,
  rangeOf,
} from "../../evaluate/index.ts";
import { uniform } from "../../graph/random.ts";
import type { ReferenceSamples } from "../study/files.ts";
import { type Highest, highestOf } from "./highest.ts";

export interface WayFigures {
  readonly name: string;
  readonly seeds: number;
  /** Where the curve is highest, within what was measured. */
  readonly peak: Highest;
  /** The best of what was measured. */
  readonly best: { readonly n: number; readonly gold: number };
  /** The gold reward of the best of all samples. */
  readonly end: Range;
  /** Beside the first way, draw by draw; the first has none. */
  readonly change?: {
    /** Where both curves have a peak. */
    readonly peak?: Range;
    /** Also of a curve that rises to the end beside one that turns; none where neither has a peak and both run alike. */
    readonly moves?: "right" | "left" | "not shown";
    readonly best: Range;
    readonly end: Range;
  };
}

const wayOf = (proxy: string): string => proxy.split("#")[0] as string;

/** Undefined where there is one way alone, or no gold reward. */
export function waysFigures(
  reference: readonly ReferenceSamples[],
  { n: draws = 1000, seed = 0 }: { readonly n?: number; readonly seed?: number } = {},
): WayFigures[] | undefined {
  const [first] = reference;
  const proxies = Object.keys(first?.proxies ?? {});
  const names = [...new Set(proxies.map(wayOf))];
  if (!first?.gold || names.length < 2 || proxies.every((proxy) => !proxy.includes("#"))) return undefined;
  const sizes = powersUpTo(first.completions.length);
  const distances = sizes.map((size) => Math.sqrt(klOfBestOfN(size)));
  // [way][seed][size][prompt]
  const golds = names.map((name) =>
    proxies
      .filter((proxy) => wayOf(proxy) === name)
      .map((proxy) =>
        sizes.map((size) =>
          reference.map(
            ({ proxies: scores, gold }) =>
              bestOfN({ proxy: scores[proxy] as readonly number[], gold: gold as readonly number[] }, size)
                .gold,
          ),
        ),
      ),
  );
  const all = reference.map((_, i) => i);
  const curves = (prompts: readonly number[], pick: (seeds: number) => readonly number[]) =>
    golds.map((seeds) => {
      const chosen = pick(seeds.length);
      const curve = sizes.map((_, s) =>
        mean(chosen.map((k) => mean(prompts.map((p) => seeds[k]?.[s]?.[p] as number)))),
      );
      return { curve, peak: peakOf(curve, distances), best: Math.max(...curve), end: curve.at(-1) as number };
    });
  const whole = curves(all, (count) => Array.from({ length: count }, (_, k) => k));
  const drawn = Array.from({ length: draws }, (_, sample) => {
    const prompts = all.map((i) => Math.floor(uniform(seed, sample, i) * all.length));
    return curves(prompts, (count) =>
      Array.from({ length: count }, (_, k) => Math.floor(uniform(seed, sample, k, 1) * count)),
    );
  });
  type Measure = "peak" | "best" | "end";
  const range = (way: number, key: Measure, beside?: number): Range => {
    const of = (found: typeof whole) =>
      less(found[way]?.[key] as number, beside === undefined ? 0 : (found[beside]?.[key] as number));
    return rangeOf(of(whole), drawn.map(of));
  };
  const peaks = names.map((_, way) => highestOf(range(way, "peak"), "best-of-n", distances));
  const peakChange = (way: number): Pick<NonNullable<WayFigures["change"]>, "peak" | "moves"> => {
    const [own, first] = [peaks[way]?.course, peaks[0]?.course];
    if (own === first && own !== "turns") return {};
    const moved = range(way, "peak", 0);
    const moves = ({ more: "right", less: "left", "not shown": "not shown" } as const)[verdictOf(moved)];
    return own === first ? { peak: moved, moves } : { moves };
  };
  return names.map((name, way): WayFigures => {
    const { curve, best } = whole[way] as (typeof whole)[number];
    return {
      name,
      seeds: golds[way]?.length as number,
      peak: peaks[way] as Highest,
      best: { n: sizes[curve.indexOf(best)] as number, gold: best },
      end: range(way, "end"),
      ...(way > 0 && {
        change: {
          ...peakChange(way),
          best: range(way, "best", 0),
          end: range(way, "end", 0),
        },
      }),
    };
  });
}

const peakOf = (curve: readonly number[], distances: readonly number[]): number =>
  highestAt(
    fitCurve(
      curve.map((reward, i) => ({ d: distances[i] as number, reward })),
      { form: "best-of-n" },
    ),
  );

/** Whether an interval of a change leaves 0 out, and on which side. */
export const verdictOf = ({ low, high }: Range): "more" | "less" | "not shown" =>
  low > 0 ? "more" : high < 0 ? "less" : "not shown";
