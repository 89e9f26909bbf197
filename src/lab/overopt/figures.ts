/**
 * What a study of over-optimisation has found: best-of-n and every group of runs as points over d = sqrt(KL), the
 * curves through their gold reward, the proxy as a judge of the policy's own pairs, and where it is most wrong.
 */
import {
  bestOfN,
  bootstrap,
  type CurveName,
  type CurvePoint,
  type Drift,
  driftOf,
  type FittedCurve,
  fitCurve,
  fitRuns,
  highestAt,
  type Interval,
  type JudgeBucket,
  judgeByKl,
  klOfBestOfN,
  mean,
  type OwnPair,
  powersUpTo,
  scaleOf,
  widestGaps,
} from "../../evaluate/index.ts";
import type { CellData, ReferenceSamples, StudyData } from "../study/files.ts";
import { attempt, grouped, groupsOf, proxyName, type RunGroup } from "./groups.ts";
import { type Highest, highestOf } from "./highest.ts";
import { type WayFigures, waysFigures } from "./ways.ts";

export interface BestOfNPoint {
  readonly n: number;
  /** log n - (n - 1) / n: an upper bound where responses tie. */
  readonly kl: number;
  readonly d: number;
  readonly proxy: Interval;
  readonly gold?: Interval;
}

/** A response that the proxy overrates. */
export interface GapSample {
  readonly group: string;
  readonly seed: number;
  readonly step: number;
  readonly prompt: string;
  readonly completion: string;
  readonly proxy: number;
  readonly gold: number;
  /** z_proxy - z_gold, in standard deviations of the reference's responses. */
  readonly gap: number;
}

export interface ProxyFigures {
  readonly name: string;
  readonly start: { readonly proxy: number; readonly gold?: number };
  readonly bestOfN: readonly BestOfNPoint[];
  readonly fit?: FittedCurve;
  /** Where the curve is highest, within what was measured. */
  readonly highest?: Highest;
  readonly judge: readonly JudgeBucket[];
}

export interface OveroptFigures {
  readonly name: string;
  readonly prompts: number;
  readonly start: { readonly gold?: Interval; readonly drift: Drift };
  readonly proxies: readonly ProxyFigures[];
  readonly groups: readonly RunGroup[];
  /** Of a study whose proxies are seeds of several ways. */
  readonly ways?: readonly WayFigures[];
  readonly gaps: readonly GapSample[];
}

export interface FiguresOptions {
  /** What makes log-odds of a proxy's margin, by the proxy's name; those without are not calibrated. */
  readonly scales?: Readonly<Record<string, number>>;
  /** Of the samples with the widest gap. */
  readonly gaps?: number;
  /** Bootstrap samples of the curves. Default: 1000. */
  readonly n?: number;
}

/** Computes them all; nothing is drawn but by the bootstrap's seed. */
export function overoptFigures(
  { study, reference, cells }: StudyData,
  options: FiguresOptions = {},
): OveroptFigures {
  const { scales = {}, gaps = 8, n = 1000 } = options;
  const names = [
    ...new Set([...reference.flatMap(({ proxies }) => Object.keys(proxies)), ...cells.map(proxyName)]),
  ];
  const samples = study.settings.samples ?? 2;
  const drawn = reference[0]?.completions.length ?? 0;
  // The few samples that every study draws of its reference say little; whoever asked for best-of-n gets it.
  const isDrawn = drawn > 1 && (drawn > samples || study.settings.best_of_n !== undefined);
  const golds = reference.flatMap(({ gold }) => (gold ? [mean(gold)] : []));
  const ways = waysFigures(reference, { n });
  const start = {
    ...(golds.length > 0 && { gold: bootstrap(golds) }),
    drift: driftOf(reference.flatMap((row) => inputsOf(row, samples))),
  };
  return {
    name: study.recipe.name,
    prompts: reference.length || (cells[0]?.points[0]?.responses ?? 0) / samples,
    start,
    proxies: names.flatMap((name) =>
      proxyFigures(name, { reference, cells, scale: scales[name], n, isDrawn }),
    ),
    groups: groupsOf(cells, reference, { gold: start.gold?.mean, n }),
    ...(ways && { ways }),
    gaps: gapsOf(cells, reference, gaps),
  };
}

const inputsOf = (row: ReferenceSamples, samples: number) =>
  row.completions.slice(0, samples).map((completion, k) => ({
    prompt: row.prompt,
    completion,
    tokens: row.tokens[k] as number,
    surprisal: row.surprisals[k] as number,
    terminated: row.terminated[k] as boolean,
  }));

interface ProxyParts {
  readonly reference: readonly ReferenceSamples[];
  readonly cells: readonly CellData[];
  readonly scale: number | undefined;
  readonly n: number;
  /** Whether there are samples for best-of-n. */
  readonly isDrawn: boolean;
}

function proxyFigures(name: string, { reference, cells, scale, n, isDrawn }: ProxyParts): ProxyFigures[] {
  const rows = reference.filter(({ proxies }) => proxies[name]);
  const pairs = ownPairs(name, cells, rows);
  const judge = judgeByKl(pairs, scale === undefined ? {} : { scale });
  if (rows.length === 0)
    return judge.length === 0 ? [] : [{ name, start: { proxy: Number.NaN }, bestOfN: [], judge }];
  const hasGold = rows.every(({ gold }) => gold);
  const total = rows[0]?.completions.length ?? 1;
  const curve = powersUpTo(total).map((size) => {
    const each = rows.map(({ proxies, gold }) => {
      const proxy = proxies[name] as readonly number[];
      return bestOfN({ proxy, gold: gold ?? proxy }, size);
    });
    return { n: size, each };
  });
  const bestOfNPoints = curve.map(({ n: size, each }): BestOfNPoint => {
    const kl = klOfBestOfN(size);
    return {
      n: size,
      kl,
      d: Math.sqrt(kl),
      proxy: bootstrap(each.map(({ proxy }) => proxy)),
      ...(hasGold && { gold: bootstrap(each.map(({ gold }) => gold)) }),
    };
  });
  const fit = hasGold && isDrawn ? bestOfNFit(curve, n) : undefined;
  const distances = bestOfNPoints.map(({ d }) => d);
  const [first] = bestOfNPoints as [BestOfNPoint];
  return [
    {
      name,
      start: { proxy: first.proxy.mean, ...(first.gold && { gold: first.gold.mean }) },
      bestOfN: isDrawn ? bestOfNPoints : [],
      ...(fit && { fit, highest: highestOf(fit.highest, "best-of-n", distances) }),
      judge,
    },
  ];
}

/** The curve through the means of all prompts; for its intervals prompts are drawn in tenths. */
function bestOfNFit(
  curve: readonly { readonly n: number; readonly each: readonly { readonly gold: number }[] }[],
  n: number,
): FittedCurve | undefined {
  const pointsOf = (inside: (prompt: number) => boolean): CurvePoint[] =>
    curve.map(({ n: size, each }) => ({
      d: Math.sqrt(klOfBestOfN(size)),
      reward: mean(each.filter((_, prompt) => inside(prompt)).map(({ gold }) => gold)),
    }));
  const folds = Math.min(10, curve[0]?.each.length ?? 0);
  const form: CurveName = "best-of-n";
  return attempt(() => {
    const fitted = fitRuns(
      Array.from({ length: folds }, (_, fold) => pointsOf((prompt) => prompt % folds === fold)),
      { form, n },
    );
    const whole = fitCurve(
      pointsOf(() => true),
      { form },
    );
    const { peak, ...rest } = fitted;
    return {
      ...rest,
      curve: whole,
      highest: { ...fitted.highest, mean: highestAt(whole) },
      ...(whole.peak && {
        peak: { low: whole.peak.d, high: Number.POSITIVE_INFINITY, ...peak, mean: whole.peak.d },
      }),
    };
  });
}

/** The first two responses to each prompt, of the reference and of every snapshot. */
function ownPairs(
  name: string,
  cells: readonly CellData[],
  reference: readonly ReferenceSamples[],
): OwnPair[] {
  const own = reference.flatMap(({ proxies, gold }): OwnPair[] => {
    const [p, q] = proxies[name] ?? [];
    const [g, h] = gold ?? [];
    return [p, q, g, h].every((value) => value !== undefined)
      ? [{ kl: 0, proxy: [p as number, q as number], gold: [g as number, h as number] }]
      : [];
  });
  return [
    ...own,
    ...cells
      .filter((cell) => proxyName(cell) === name)
      .flatMap(({ points, responses }) =>
        points.flatMap(({ step, kl }) => {
          const mine = responses.filter(
            (row) => row.step === step && row.proxy !== undefined && row.gold !== undefined,
          );
          const byPrompt = grouped(mine);
          return [...byPrompt.values()].flatMap(([a, b]): OwnPair[] =>
            a && b && kl
              ? [
                  {
                    kl: kl.mean,
                    proxy: [a.proxy as number, b.proxy as number],
                    gold: [a.gold as number, b.gold as number],
                  },
                ]
              : [],
          );
        }),
      ),
  ];
}

function gapsOf(
  cells: readonly CellData[],
  reference: readonly ReferenceSamples[],
  count: number,
): GapSample[] {
  const rows = cells.flatMap((cell) => {
    const mine = reference.filter(({ proxies, gold }) => proxies[proxyName(cell)] && gold);
    if (mine.length === 0) return [];
    const scales = {
      proxy: scaleOf(mine.flatMap(({ proxies }) => [...(proxies[proxyName(cell)] as readonly number[])])),
      gold: scaleOf(mine.flatMap(({ gold }) => [...(gold as readonly number[])])),
    };
    const scored = cell.responses.filter((row) => row.proxy !== undefined && row.gold !== undefined);
    return widestGaps(
      scored.map(({ proxy }) => proxy as number),
      scored.map(({ gold }) => gold as number),
      { scales, count: 4 * count },
    ).map(({ index, gap }): GapSample => {
      const { step, prompt, completion, proxy, gold } = scored[index] as (typeof scored)[number];
      const { group, seed } = cell;
      return { group, seed, step, prompt, completion, proxy: proxy as number, gold: gold as number, gap };
    });
  });
  const seen = new Set<string>();
  return rows
    .sort((a, b) => b.gap - a.gap)
    .filter(({ completion }) => !seen.has(completion) && seen.add(completion))
    .slice(0, count);
}
