/**
 * What a sweep over the weights of objectives has found: for each way to weigh, how good the answers are by each
 * objective, and which ways no other one dominates (Pareto 1906): at least as good by every objective, better by one.
 *
 * Every proxy picks the best of n from the same samples; where a stage is trained against it too, so is the model that
 * came out. Means are compared, whose intervals often overlap: a front is as sure as they are.
 */
import { bestOfN, bootstrap, type Interval, klOfBestOfN, mean } from "../../evaluate/index.ts";
import { overSeeds } from "../frontier/figures.ts";
import type { CellData, ReferenceSamples, StudyData } from "../study/files.ts";

export interface WeighedFigures {
  /** The weights, and what was done with them. */
  readonly name: string;
  readonly how: "best of n" | "trained";
  readonly weights: Readonly<Record<string, number>>;
  /** Nats a response; of best-of-n a bound. */
  readonly kl?: number;
  /** Means by objective, with intervals over the prompts, or over the seeds. */
  readonly objectives: Readonly<Record<string, Interval>>;
  readonly onFront: boolean;
  /** Of those that dominate it, the best by the smallest gain. */
  readonly dominatedBy?: string;
}

export interface ParetoFigures {
  readonly name: string;
  readonly objectives: readonly string[];
  readonly prompts: number;
  readonly n: number;
  /** The model before. */
  readonly start: Readonly<Record<string, Interval>>;
  readonly ways: readonly WeighedFigures[];
}

type Found = Omit<WeighedFigures, "onFront" | "dominatedBy">;

/** Undefined where the study is none of weights, or nothing told the objectives apart. */
export function paretoFigures({ study, reference, cells }: StudyData): ParetoFigures | undefined {
  const { weights, proxies = {} } = study.settings;
  const rows = reference.filter(({ objectives }) => objectives);
  if (!weights || rows.length === 0) return undefined;
  const { objectives } = weights;
  const n = rows[0]?.completions.length ?? 1;
  const found = Object.entries(proxies).flatMap(([name, spec]): Found[] => {
    const own = (spec as { weights: Record<string, number> }).weights;
    return [bestOf(name, own, rows, objectives, n), ...trained(name, own, cells, objectives)];
  });
  return {
    name: study.recipe.name,
    objectives,
    prompts: rows.length,
    n,
    start: Object.fromEntries(
      objectives.map((name) => [name, bootstrap(rows.map((row) => mean(valuesOf(row, name))))]),
    ),
    ways: withFront(found, objectives),
  };
}

const valuesOf = ({ objectives }: ReferenceSamples, name: string): readonly number[] =>
  objectives?.[name] as readonly number[];

function bestOf(
  name: string,
  weights: Readonly<Record<string, number>>,
  rows: readonly ReferenceSamples[],
  objectives: readonly string[],
  n: number,
): Found {
  const values = (row: ReferenceSamples, objective: string) =>
    bestOfN({ proxy: row.proxies[name] as readonly number[], gold: valuesOf(row, objective) }, n).gold;
  return {
    name,
    how: "best of n",
    weights,
    kl: klOfBestOfN(n),
    objectives: Object.fromEntries(
      objectives.map((objective) => [objective, bootstrap(rows.map((row) => values(row, objective)))]),
    ),
  };
}

/** The last models of the cells of a proxy, by what they have in common. */
function trained(
  proxy: string,
  weights: Readonly<Record<string, number>>,
  cells: readonly CellData[],
  objectives: readonly string[],
): Found[] {
  const own = cells.filter((cell) => cell.proxy === proxy);
  return [...new Set(own.map(({ group }) => group))].map((group): Found => {
    const members = own.filter((cell) => cell.group === group);
    const last = members.map(({ responses, steps }) => responses.filter(({ step }) => step === steps));
    const kls = members.flatMap(({ points }) => points.at(-1)?.kl?.mean ?? []);
    return {
      name: group,
      how: "trained",
      weights,
      ...(kls.length > 0 && { kl: mean(kls) }),
      objectives: Object.fromEntries(
        objectives.map((name) => [
          name,
          overSeeds(last.map((each) => bootstrap(each.map((row) => row.objectives?.[name] ?? Number.NaN)))),
        ]),
      ),
    };
  });
}

/** Whether the first point is at least as good as the second by every measure, and better by one. */
export const dominates = (other: readonly number[], point: readonly number[]): boolean =>
  other.every((x, k) => x >= (point[k] as number)) && other.some((x, k) => x > (point[k] as number));

/** Best-of-n and training have fronts of their own: they are at different distances from the model before. */
function withFront(found: readonly Found[], objectives: readonly string[]): WeighedFigures[] {
  const pointOf = (way: Found) => objectives.map((name) => way.objectives[name]?.mean as number);
  return found.map((way): WeighedFigures => {
    const point = pointOf(way);
    const better = found
      .filter((other) => other.how === way.how && dominates(pointOf(other), point))
      .map((other) => ({
        name: other.name,
        least: Math.min(...pointOf(other).map((x, k) => x - (point[k] as number))),
      }))
      .sort((a, b) => b.least - a.least)[0];
    return { ...way, onFront: better === undefined, ...(better && { dominatedBy: better.name }) };
  });
}
