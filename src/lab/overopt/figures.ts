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
  type Interval,
  type JudgeBucket,
  judgeByKl,
  klOfBestOfN,
  mean,
  type OwnPair,
  peakShift,
  powersUpTo,
  type Range,
  scaleOf,
  widestGaps,
} from "../../evaluate/index.ts";
import type { CellData, ReferenceSamples, StudyData } from "../study/files.ts";
import { type WayFigures, waysFigures } from "./ways.ts";

export interface BestOfNPoint {
  readonly n: number;
  /** log n - (n - 1) / n: an upper bound where responses tie. */
  readonly kl: number;
  readonly d: number;
  readonly proxy: Interval;
  readonly gold?: Interval;
}

/** A model of some run at some step. */
export interface RunPoint {
  readonly seed: number;
  readonly step: number;
  readonly kl: number;
  readonly d: number;
  readonly proxy?: number;
  readonly gold?: number;
  readonly disagreement?: number;
  readonly drift: Drift;
}

export interface RunGroup {
  readonly group: string;
  readonly proxy: string;
  readonly seeds: number;
  readonly points: readonly RunPoint[];
  /** Of the gold reward; none with too few points. */
  readonly fit?: FittedCurve;
  /** d* less that of the first group that differs in its proxy alone. */
  readonly shift?: Range;
  /** At the last step, over the seeds. */
  readonly last: { readonly d: number; readonly proxy?: number; readonly gold?: number };
  /** The highest mean gold reward of a step over the seeds, the start included at step 0. */
  readonly best?: { readonly step: number; readonly d: number; readonly gold: number };
  /** The proxy's gain from the start to the end; above 0 while gold falls is reward hacking. */
  readonly change: { readonly proxy?: number; readonly gold?: number; readonly gold_since_best?: number };
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

const only = "proxy";
const proxyName = ({ proxy = only }: { readonly proxy?: string }): string => proxy;

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
      proxyFigures(name, { reference, cells, samples, scale: scales[name], n }),
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
  readonly samples: number;
  readonly scale: number | undefined;
  readonly n: number;
}

function proxyFigures(name: string, { reference, cells, samples, scale, n }: ProxyParts): ProxyFigures[] {
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
  const fit = hasGold && total > samples ? bestOfNFit(curve, n) : undefined;
  const [first] = bestOfNPoints as [BestOfNPoint];
  return [
    {
      name,
      start: { proxy: first.proxy.mean, ...(first.gold && { gold: first.gold.mean }) },
      bestOfN: total > samples ? bestOfNPoints : [],
      ...(fit && { fit }),
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
      ...(whole.peak && {
        peak: { low: whole.peak.d, high: Number.POSITIVE_INFINITY, ...peak, mean: whole.peak.d },
      }),
    };
  });
}

/** Too few points for a curve are no error of a study. */
function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
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

function grouped<T extends { readonly prompt_index: number }>(rows: readonly T[]): Map<number, T[]> {
  const out = new Map<number, T[]>();
  for (const row of rows) out.set(row.prompt_index, [...(out.get(row.prompt_index) ?? []), row]);
  return out;
}

function groupsOf(
  cells: readonly CellData[],
  reference: readonly ReferenceSamples[],
  { gold: start, n }: { readonly gold: number | undefined; readonly n: number },
): RunGroup[] {
  const names = [...new Set(cells.map(({ group }) => group))];
  /** Gold of the runs of the first group of each setting: what those with other proxies stand beside. */
  const firsts = new Map<string, CurvePoint[][]>();
  return names.map((group): RunGroup => {
    const members = cells.filter((cell) => cell.group === group);
    const proxy = proxyName(members[0] as CellData);
    const runs = members.map(({ seed, points }) =>
      points.map(({ step, kl, proxy: p, gold, disagreement, drift }): RunPoint => {
        const nats = Math.max(0, kl?.mean ?? Number.NaN);
        return {
          seed,
          step,
          kl: nats,
          d: Math.sqrt(nats),
          ...(p && { proxy: p.mean }),
          ...(gold && { gold: gold.mean }),
          ...(disagreement !== undefined && { disagreement }),
          drift,
        };
      }),
    );
    const points = runs.flat();
    const curves = runs.map((run) =>
      run.flatMap(({ d, gold }): CurvePoint[] =>
        gold === undefined || Number.isNaN(d) ? [] : [{ d, reward: gold }],
      ),
    );
    const options = { form: "rl" as const, n, ...(start !== undefined && { start }) };
    const fit = attempt(() => fitRuns(curves, options));
    const setting = group.startsWith(`${proxy}, `) ? group.slice(proxy.length) : group;
    const others = firsts.get(setting);
    if (!others) firsts.set(setting, curves);
    const shift = others && attempt(() => peakShift(curves, others, options));
    const first = reference.flatMap(({ proxies }) => (proxies[proxy] ? [mean(proxies[proxy])] : []));
    const startProxy = first.length > 0 ? mean(first) : undefined;
    const last = meanOf(runs.map((run) => run.at(-1)).filter((point) => point !== undefined));
    const steps = [...new Set(points.map(({ step }) => step))].sort((a, b) => a - b);
    const bySteps = steps.map((step) => ({ step, ...meanOf(points.filter((point) => point.step === step)) }));
    const candidates = [
      ...(start === undefined ? [] : [{ step: 0, d: 0, gold: start }]),
      ...bySteps.flatMap(({ step, d, gold }) => (gold === undefined ? [] : [{ step, d, gold }])),
    ];
    const best = candidates.reduce<RunGroup["best"]>(
      (a, b) => (a === undefined || b.gold > a.gold ? b : a),
      undefined,
    );
    return {
      group,
      proxy,
      seeds: members.length,
      points,
      ...(fit && { fit }),
      ...(shift && { shift }),
      last,
      ...(best && { best }),
      change: {
        ...(last.proxy !== undefined && startProxy !== undefined && { proxy: last.proxy - startProxy }),
        ...(last.gold !== undefined && start !== undefined && { gold: last.gold - start }),
        ...(last.gold !== undefined && best && { gold_since_best: last.gold - best.gold }),
      },
    };
  });
}

/** Means over points, of what all of them have. */
function meanOf(points: readonly RunPoint[]): RunGroup["last"] {
  const of = (key: "proxy" | "gold") => {
    const values = points.flatMap((point) => (point[key] === undefined ? [] : [point[key]]));
    return values.length > 0 && values.length === points.length ? { [key]: mean(values) } : {};
  };
  return { d: mean(points.map(({ d }) => d)), ...of("proxy"), ...of("gold") };
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
