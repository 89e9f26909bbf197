/**
 * What a grid of runs has found: a row for each setting, its figures over the seeds with intervals, and which settings
 * no other beats at their KL.
 */
import { bootstrap, type Interval, mean, standardDeviation } from "../../evaluate/index.ts";
import type { CellData, StudyData } from "../study/files.ts";
import type { StudyPoint } from "../study/measure.ts";

export interface SeedFigures {
  readonly seed: number;
  readonly kl?: number;
  readonly proxy?: number;
  readonly gold?: number;
  readonly seconds: number;
  readonly peak_memory_bytes?: number;
  readonly length: number;
  readonly distinct_2: number;
  readonly duplicates: number;
}

export interface SettingFigures {
  readonly group: string;
  /** The stage, and its trainer: what has one colour. */
  readonly stage: string;
  readonly trainer: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly seeds: readonly SeedFigures[];
  readonly kl?: Interval;
  readonly proxy?: Interval;
  readonly gold?: Interval;
  readonly seconds: Interval;
  readonly peak_memory_bytes?: number;
  /** No other setting has more reward, gold where there is one, at as little KL. */
  readonly onFrontier: boolean;
}

export interface FrontierFigures {
  readonly name: string;
  readonly prompts: number;
  readonly start?: { readonly gold?: Interval; readonly proxy?: Interval };
  readonly settings: readonly SettingFigures[];
}

/** Student's t at 97.5 % by degrees of freedom, from 1. */
const t975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/**
 * The mean over seeds with its 95 % interval by Student's t, which takes few seeds for what they are; of one seed the
 * interval over its prompts, which knows nothing of other seeds.
 */
export function overSeeds(intervals: readonly Interval[]): Interval {
  const [only] = intervals as [Interval];
  if (intervals.length === 1) return only;
  const values = intervals.map(({ mean: value }) => value);
  const t = t975[values.length - 2] ?? 1.96 + 2.6 / values.length;
  const half = (t * standardDeviation(values)) / Math.sqrt(values.length);
  const middle = mean(values);
  return { mean: middle, low: middle - half, high: middle + half };
}

const exactly = (value: number): Interval => ({ mean: value, low: value, high: value });

export function frontierFigures({ study, reference, cells }: StudyData): FrontierFigures {
  const groups = [...new Set(cells.map(({ group }) => group))];
  const settings = groups.map((group) => settingOf(cells.filter((cell) => cell.group === group)));
  const golds = reference.flatMap(({ gold }) => (gold ? [mean(gold)] : []));
  const proxies = reference.flatMap(({ proxies: named }) => Object.values(named).slice(0, 1).map(mean));
  const reward = settings.some(({ gold }) => gold) ? "gold" : "proxy";
  return {
    name: study.recipe.name,
    prompts: study.settings.num_prompts ?? 128,
    ...(reference.length > 0 && {
      start: {
        ...(golds.length > 0 && { gold: bootstrap(golds) }),
        ...(proxies.length > 0 && { proxy: bootstrap(proxies) }),
      },
    }),
    settings: settings.map((setting) => ({
      ...setting,
      onFrontier: isOnFrontier(setting, settings, reward),
    })),
  };
}

const lastOf = ({ points }: CellData): StudyPoint | undefined => points.at(-1);

function settingOf(cells: readonly CellData[]): Omit<SettingFigures, "onFrontier"> {
  const [{ group, target, trainer, fields }] = cells as [CellData];
  const measured = cells.flatMap((cell) => {
    const point = lastOf(cell);
    return point ? [{ cell, point }] : [];
  });
  const of = (key: "kl" | "proxy" | "gold"): { [K in typeof key]?: Interval } => {
    const values = measured.flatMap(({ point }) => point[key] ?? []);
    return values.length > 0 && values.length === measured.length ? { [key]: overSeeds(values) } : {};
  };
  const memory = cells.flatMap(({ peak_memory_bytes }) => peak_memory_bytes ?? []);
  return {
    group,
    stage: target,
    trainer,
    fields,
    seeds: measured.map(({ cell, point }): SeedFigures => {
      const { length, distinct_2, duplicates } = point.drift;
      return {
        seed: cell.seed,
        ...(point.kl && { kl: point.kl.mean }),
        ...(point.proxy && { proxy: point.proxy.mean }),
        ...(point.gold && { gold: point.gold.mean }),
        seconds: cell.seconds,
        ...(cell.peak_memory_bytes !== undefined && { peak_memory_bytes: cell.peak_memory_bytes }),
        length,
        distinct_2,
        duplicates,
      };
    }),
    ...of("kl"),
    ...of("proxy"),
    ...of("gold"),
    seconds: overSeeds(cells.map(({ seconds }) => exactly(seconds))),
    ...(memory.length > 0 && { peak_memory_bytes: Math.max(...memory) }),
  };
}

type Placed = Pick<SettingFigures, "kl" | "gold" | "proxy">;

/** Whether no other setting has more of a reward at as little KL. */
export function isOnFrontier(setting: Placed, all: readonly Placed[], reward: "gold" | "proxy"): boolean {
  const [kl, own] = [setting.kl?.mean, setting[reward]?.mean];
  if (kl === undefined || own === undefined) return false;
  return !all.some((other) => {
    const [otherKl, otherReward] = [other.kl?.mean, other[reward]?.mean];
    return otherKl !== undefined && otherReward !== undefined && otherKl <= kl && otherReward > own;
  });
}
