/** Runs that differ in their seed alone: their way from the reference, its curve, and what became of the gold reward. */
import {
  type CurvePoint,
  type Drift,
  type FittedCurve,
  fitRuns,
  mean,
  peakShift,
  type Range,
} from "../../evaluate/index.ts";
import type { CellData, ReferenceSamples } from "../study/files.ts";
import { fallSince, type GoldCourse } from "./fall.ts";
import { type Highest, highestOf } from "./highest.ts";

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

/**
 * What became of the gold reward since its best. Hacked: it fell by more than noise while the proxy went on rising. Fell:
 * so it did, and the proxy did not rise, or is not known. Within noise: the end is below the best of the snapshots, as it would be if
 * nothing had fallen.
 */
export type Outcome = "hacked" | "fell" | "within noise" | "at its best";

export interface RunGroup {
  readonly group: string;
  readonly proxy: string;
  readonly seeds: number;
  readonly points: readonly RunPoint[];
  /** Of the gold reward; none with too few points. */
  readonly fit?: FittedCurve;
  /** Where the curve is highest, within what was measured. */
  readonly highest?: Highest;
  /** The first group that differs in its proxy alone; that one has none. */
  readonly beside?: string;
  /** d* less that of `beside`, where both curves have a peak. */
  readonly shift?: Range;
  /** At the last step, over the seeds. */
  readonly last: { readonly d: number; readonly proxy?: number; readonly gold?: number };
  /** The highest mean gold reward of a step over the seeds, the start included at step 0. */
  readonly best?: { readonly step: number; readonly d: number; readonly gold: number };
  /** From the start to the end, and to the end from the snapshot with the best gold reward. */
  readonly change: {
    readonly proxy?: number;
    readonly gold?: number;
    readonly gold_since_best?: number;
    readonly proxy_since_best?: number;
  };
  /** `change.gold_since_best` with an interval that holds for all snapshots at once; see fall.ts. */
  readonly fall?: Range;
  /** None where the files do not tell: without a gold reward, or of a single prompt. */
  readonly outcome?: Outcome;
}

interface GroupOptions {
  /** Mean gold reward of the reference. */
  readonly gold: number | undefined;
  /** Draws of the bootstrap. */
  readonly n: number;
}

const only = "proxy";
export const proxyName = ({ proxy = only }: { readonly proxy?: string }): string => proxy;

/** In the order of the grid. */
export function groupsOf(
  cells: readonly CellData[],
  reference: readonly ReferenceSamples[],
  { gold: start, n }: GroupOptions,
): RunGroup[] {
  const names = [...new Set(cells.map(({ group }) => group))];
  /** The first group of each setting: what those with other proxies stand beside. */
  const firsts = new Map<string, { group: string; curves: CurvePoint[][]; turns: boolean }>();
  return names.map((group): RunGroup => {
    const members = cells.filter((cell) => cell.group === group);
    const proxy = proxyName(members[0] as CellData);
    const runs = members.map(pointsOf);
    const points = runs.flat();
    const curves = runs.map((run) =>
      run.flatMap(({ d, gold }): CurvePoint[] =>
        gold === undefined || Number.isNaN(d) ? [] : [{ d, reward: gold }],
      ),
    );
    const options = { form: "rl" as const, n, ...(start !== undefined && { start }) };
    const fit = attempt(() => fitRuns(curves, options));
    const highest =
      fit &&
      highestOf(
        fit.highest,
        "rl",
        curves.flat().map(({ d }) => d),
      );
    const turns = highest?.course === "turns";
    const setting = group.startsWith(`${proxy}, `) ? group.slice(proxy.length) : group;
    const first = firsts.get(setting);
    if (!first) firsts.set(setting, { group, curves, turns });
    const shift = first?.turns && turns && attempt(() => peakShift(curves, first.curves, options));
    return {
      group,
      proxy,
      seeds: members.length,
      points,
      ...(fit && { fit }),
      ...(highest && { highest }),
      ...(first && { beside: first.group }),
      ...(shift && { shift }),
      ...courseOf(members, runs, reference, { gold: start, n }),
    };
  });
}

const pointsOf = ({ seed, points }: CellData): RunPoint[] =>
  points.map(({ step, kl, proxy, gold, disagreement, drift }): RunPoint => {
    const nats = Math.max(0, kl?.mean ?? Number.NaN);
    return {
      seed,
      step,
      kl: nats,
      d: Math.sqrt(nats),
      ...(proxy && { proxy: proxy.mean }),
      ...(gold && { gold: gold.mean }),
      ...(disagreement !== undefined && { disagreement }),
      drift,
    };
  });

/** Start, best and end, and what lies between. */
function courseOf(
  members: readonly CellData[],
  runs: readonly RunPoint[][],
  reference: readonly ReferenceSamples[],
  { gold: start, n }: GroupOptions,
): Pick<RunGroup, "last" | "best" | "change" | "fall" | "outcome"> {
  const points = runs.flat();
  const name = proxyName(members[0] as CellData);
  const scored = reference.flatMap(({ proxies }) => (proxies[name] ? [mean(proxies[name])] : []));
  const startProxy = scored.length > 0 ? mean(scored) : undefined;
  const last = meanOf(runs.map((run) => run.at(-1)).filter((point) => point !== undefined));
  const steps = [...new Set(points.map(({ step }) => step))].sort((a, b) => a - b);
  const candidates = [
    { step: 0, d: 0, gold: start, proxy: startProxy },
    ...steps.map((step) => ({ step, ...meanOf(points.filter((point) => point.step === step)) })),
  ].flatMap(({ gold, ...rest }) => (gold === undefined ? [] : [{ ...rest, gold }]));
  const found = candidates.reduce<(typeof candidates)[number] | undefined>(
    (a, b) => (a === undefined || b.gold > a.gold ? b : a),
    undefined,
  );
  const less = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? undefined : a - b;
  const change = defined({
    proxy: less(last.proxy, startProxy),
    gold: less(last.gold, start),
    gold_since_best: less(last.gold, found?.gold),
    proxy_since_best: found && less(last.proxy, found.proxy),
  });
  const isBestLast = found !== undefined && found.step === steps.at(-1);
  const fall =
    found && last.gold !== undefined && !isBestLast
      ? fallSince(
          found.step,
          members.map((cell) => goldCourse(cell, reference)),
          { n },
        )
      : undefined;
  const outcome = isBestLast ? ("at its best" as const) : fall && outcomeOf(fall, change.proxy_since_best);
  return {
    last,
    ...(found && { best: { step: found.step, d: found.d, gold: found.gold } }),
    change,
    ...(fall && { fall }),
    ...(outcome && { outcome }),
  };
}

/** A reward that falls in both is not hacked, whatever the proxy had gained before. */
function outcomeOf({ high }: Range, proxySinceBest: number | undefined): Outcome {
  if (!(high < 0)) return "within noise";
  return (proxySinceBest ?? 0) > 0 ? "hacked" : "fell";
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

const defined = <T extends object>(values: T): Defined<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>;

/** Of each prompt over its samples; the reference at step 0 where it answered the same prompts. */
function goldCourse({ points, responses }: CellData, reference: readonly ReferenceSamples[]): GoldCourse {
  const own = points.flatMap(({ step }): [number, number[]][] => {
    const rows = responses.filter((row) => row.step === step && row.gold !== undefined);
    const byPrompt = [...grouped(rows)].sort(([a], [b]) => a - b);
    const golds = byPrompt.map(([, of]) => mean(of.map(({ gold }) => gold as number)));
    return golds.length > 0 ? [[step, golds]] : [];
  });
  const golds = reference.flatMap(({ gold }) => (gold ? [mean(gold)] : []));
  const fits = own.every(([, values]) => values.length === golds.length);
  return new Map(fits && own.length > 0 ? [[0, golds], ...own] : own);
}

/** Rows by the place of their prompt. */
export function grouped<T extends { readonly prompt_index: number }>(rows: readonly T[]): Map<number, T[]> {
  const out = new Map<number, T[]>();
  for (const row of rows) out.set(row.prompt_index, [...(out.get(row.prompt_index) ?? []), row]);
  return out;
}

/** Too few points for a curve are no error of a study. */
export function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
}

/** Means over points, of what all of them have. */
function meanOf(points: readonly RunPoint[]): RunGroup["last"] {
  const of = (key: "proxy" | "gold") => {
    const values = points.flatMap((point) => (point[key] === undefined ? [] : [point[key]]));
    return values.length > 0 && values.length === points.length ? { [key]: mean(values) } : {};
  };
  return { d: mean(points.map(({ d }) => d)), ...of("proxy"), ...of("gold") };
}
