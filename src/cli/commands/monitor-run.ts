/** The work of `attune monitor`: replays the alarms on runs whose nature is known. */
import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { AttuneError } from "../../graph/errors.ts";
import {
  type AlarmName,
  type AlarmOptions,
  alarmDefaults,
  alarmSignals,
  type MonitorLine,
  predictedPeak,
  replay,
} from "../../train/monitor/alarms.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { UsageError } from "../failure.ts";

interface Options extends AlarmOptions {
  readonly clean?: readonly string[];
  readonly hacked?: readonly string[];
}

/** How often an alarm was raised, over the runs in which it could be. */
interface Rate {
  /** Those runs. */
  readonly of: number;
  /** Share of them that raised it at least once. */
  readonly runs: number;
  /** Mean share of the steps at which it was up. */
  readonly steps: number;
  /** The step at which it came first, the median over the runs that raised it. */
  readonly first?: number;
}

/** Null where no run could have raised the alarm: then nothing is known of it, which is not never. */
type Rates = Readonly<Record<AlarmName | "any", Rate | null>>;

const names = [...Object.keys(alarmSignals), "peak"] as AlarmName[];

export const runMonitor: Implementation<Options> = async (context, { clean, hacked, ...alarms }) => {
  if (!clean && !hacked)
    throw new UsageError("monitor: --clean or --hacked is required: folders of runs that were watched");
  const files = [await filesIn(clean ?? []), await filesIn(hacked ?? [])] as const;
  const both = files[0].find((file) => files[1].includes(file));
  if (both !== undefined)
    throw new UsageError(
      `monitor: runs that are either clean or hacked are required, ${both} is below both --clean and --hacked; leave it out of one`,
    );
  const [without, withHacking] = [await coursesOf(files[0]), await coursesOf(files[1])];
  const result = {
    ...alarms,
    ...(clean && { clean: { runs: without.length, rates: ratesOf(without, alarms) } }),
    ...(hacked && { hacked: { runs: withHacking.length, rates: ratesOf(withHacking, alarms) } }),
  };
  const rows = [...names, "any" as const].map((name) => [
    name,
    rateText(result.clean, name),
    rateText(result.hacked, name),
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

function rateText(side: { runs: number; rates: Rates } | undefined, name: keyof Rates): string {
  if (!side) return "";
  const rate = side.rates[name];
  if (!rate) return "not known";
  return [
    `${percent(rate.runs)} of ${rate.of < side.runs ? counted(rate.of, "run") : "runs"}`,
    `${percent(rate.steps)} of steps`,
    ...(rate.first === undefined ? [] : [`from step ${rate.first}`]),
  ].join(", ");
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** What was watched below the folders, each file once. */
async function filesIn(folders: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const folder of folders) {
    const files = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
    const own = files.filter((file) => /(^|[\\/])monitor\.jsonl$/.test(file)).sort();
    if (own.length === 0)
      throw new AttuneError(
        `${folder}: no monitor.jsonl below it; give the stage the key monitor, as in monitor: { gold: world:gold }`,
      );
    for (const file of own) found.add(await realpath(join(folder, file)));
  }
  return [...found];
}

const coursesOf = (files: readonly string[]): Promise<MonitorLine[][]> =>
  Promise.all(
    files.map(async (file) =>
      (await readFile(file, "utf8"))
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as MonitorLine),
    ),
  );

/** The alarms that a run could have raised: their signal was recorded at as many steps as they look at. */
function possibleIn(lines: readonly MonitorLine[], options: AlarmOptions): ReadonlySet<AlarmName> {
  const { baseline, window } = alarmDefaults;
  const needed = (options.baseline ?? baseline) + (options.window ?? window);
  if (lines.length < needed) return new Set();
  const recorded = (name: AlarmName): boolean =>
    name === "peak"
      ? predictedPeak(lines) !== undefined
      : lines.filter((line) => line[name] !== undefined).length >= needed;
  return new Set(names.filter(recorded));
}

function ratesOf(courses: readonly (readonly MonitorLine[])[], options: AlarmOptions): Rates {
  const runs = courses.map((lines) => ({
    possible: possibleIn(lines, options),
    raised: replay(lines, options),
  }));
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  type Run = (typeof runs)[number];
  const rate = (
    among: readonly Run[],
    of: (run: Run) => { first: number; share: number } | undefined,
  ): Rate | null => {
    if (among.length === 0) return null;
    const found = among.map(of);
    const firsts = found.flatMap((each) => each?.first ?? []).sort((a, b) => a - b);
    const median = firsts[Math.floor((firsts.length - 1) / 2)];
    return {
      of: among.length,
      runs: firsts.length / among.length,
      steps: mean(found.map((each) => each?.share ?? 0)),
      ...(median !== undefined && { first: median }),
    };
  };
  const any = ({ raised }: Run) => {
    const all = Object.values(raised);
    if (all.length === 0) return undefined;
    return {
      first: Math.min(...all.map(({ first }) => first)),
      share: Math.max(...all.map(({ share }) => share)),
    };
  };
  return Object.fromEntries([
    ...names.map((name) => {
      const among = runs.filter(({ possible }) => possible.has(name));
      return [name, rate(among, ({ raised }) => raised[name])] as const;
    }),
    [
      "any",
      rate(
        runs.filter(({ possible }) => possible.size > 0),
        any,
      ),
    ],
  ]) as Rates;
}
