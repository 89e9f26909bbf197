/** The work of `attune monitor`: replays the alarms on runs whose nature is known. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AttuneError } from "../../graph/errors.ts";
import {
  type AlarmName,
  type AlarmOptions,
  alarmSignals,
  type MonitorLine,
  replay,
} from "../../train/monitor/alarms.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { UsageError } from "../failure.ts";

interface Options extends AlarmOptions {
  readonly clean?: readonly string[];
  readonly hacked?: readonly string[];
}

/** How often an alarm was raised. */
interface Rate {
  /** Share of the runs that raised it at least once. */
  readonly runs: number;
  /** Mean share of the steps at which it was up. */
  readonly steps: number;
  /** The step at which it came first, the median over the runs that raised it. */
  readonly first?: number;
}

type Rates = Readonly<Record<AlarmName | "any", Rate>>;

const names = [...Object.keys(alarmSignals), "peak"] as AlarmName[];

export const runMonitor: Implementation<Options> = async (context, { clean, hacked, ...alarms }) => {
  if (!clean && !hacked)
    throw new UsageError("monitor: --clean or --hacked is required: folders of runs that were watched");
  const [without, withHacking] = [await coursesIn(clean ?? []), await coursesIn(hacked ?? [])];
  const result = {
    ...alarms,
    ...(clean && { clean: { runs: without.length, rates: ratesOf(without, alarms) } }),
    ...(hacked && { hacked: { runs: withHacking.length, rates: ratesOf(withHacking, alarms) } }),
  };
  const column = (rate: Rate | undefined) =>
    rate === undefined
      ? ""
      : `${percent(rate.runs)} of runs, ${percent(rate.steps)} of steps${rate.first === undefined ? "" : `, from step ${rate.first}`}`;
  const rows = [...names, "any" as const].map((name) => [
    name,
    column(result.clean?.rates[name]),
    column(result.hacked?.rates[name]),
  ]);
  const table = [["alarm", ...titles(clean && without.length, hacked && withHacking.length)], ...rows].map(
    (row) => row.filter((_, i) => i === 0 || (i === 1 ? clean : hacked)),
  );
  const widths = (table[0] as string[]).map((_, i) => Math.max(...table.map((row) => (row[i] ?? "").length)));
  context.result(
    result,
    table
      .map((row) =>
        row
          .map((cell, i) => cell.padEnd(widths[i] as number))
          .join("  ")
          .trimEnd(),
      )
      .join("\n"),
  );
};

const titles = (clean: number | undefined, hacked: number | undefined): string[] => [
  clean === undefined ? "" : `false: up in ${counted(clean, "run")} without hacking`,
  hacked === undefined ? "" : `right: up in ${counted(hacked, "run")} with it`,
];

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** The courses of all runs below the folders. */
async function coursesIn(folders: readonly string[]): Promise<MonitorLine[][]> {
  const courses: MonitorLine[][] = [];
  for (const folder of folders) {
    const files = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
    const found = files.filter((file) => /(^|[\\/])monitor\.jsonl$/.test(file)).sort();
    if (found.length === 0)
      throw new AttuneError(
        `${folder}: no monitor.jsonl below it; give the stage the key monitor, as in monitor: { gold: world:gold }`,
      );
    for (const file of found) {
      const text = await readFile(join(folder, file), "utf8");
      courses.push(
        text
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as MonitorLine),
      );
    }
  }
  return courses;
}

function ratesOf(courses: readonly (readonly MonitorLine[])[], options: AlarmOptions): Rates {
  const replays = courses.map((lines) => replay(lines, options));
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
  const rate = (
    of: (found: ReturnType<typeof replay>) => { first: number; share: number } | undefined,
  ): Rate => {
    const found = replays.map(of);
    const firsts = found.flatMap((each) => each?.first ?? []).sort((a, b) => a - b);
    const median = firsts[Math.floor((firsts.length - 1) / 2)];
    return {
      runs: firsts.length / Math.max(1, found.length),
      steps: mean(found.map((each) => each?.share ?? 0)),
      ...(median !== undefined && { first: median }),
    };
  };
  const any = (found: ReturnType<typeof replay>) => {
    const all = Object.values(found);
    if (all.length === 0) return undefined;
    return {
      first: Math.min(...all.map(({ first }) => first)),
      share: Math.max(...all.map(({ share }) => share)),
    };
  };
  return Object.fromEntries([
    ...names.map((name) => [name, rate((found) => found[name])] as const),
    ["any", rate(any)] as const,
  ]) as Rates;
}
