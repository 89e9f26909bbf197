/**
 * Measuring and reporting: interleaved runs, medians, and the rows that every benchmark yields.
 *
 * Whoever is measured runs in a process of its own and waits on its standard input while the others run, so that
 * no one takes time from another; runs alternate, so that a machine that slows down slows everyone.
 */
import { availableParallelism, cpus, totalmem } from "node:os";

export type Better = "higher" | "lower";

/** One figure of a bench file. */
export interface Row {
  readonly bench: string;
  readonly case: string;
  readonly metric: string;
  /** The median of the runs, or their mean. */
  readonly value: number;
  readonly unit: string;
  readonly better: Better;
  readonly spread: readonly [min: number, max: number];
  /** Whose figure `value` is, where it is not Attune's. */
  readonly contestant?: string;
  readonly peer?: string;
  readonly peer_value?: number;
  readonly peer_spread?: readonly [min: number, max: number];
  /** How many times better than the peer Attune is; above 1 is ahead. */
  readonly ratio?: number;
  /** What the project set out to reach, for `ratio` where there is one, else for `value`. */
  readonly target?: number;
  readonly command: string;
  readonly machine: string;
}

/** What a benchmark says of a figure; the harness adds the medians, the command and the machine. */
export interface Figure {
  readonly bench: string;
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  readonly better: Better;
  readonly target?: number | undefined;
  /** The value is the mean of the runs, not the median: of seeds, each of which is a problem of its own. */
  readonly mean?: boolean;
}

/** Someone who can be asked for one run, which yields one figure. */
export interface Contestant {
  readonly label: string;
  readonly run: () => Promise<number>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const spreadOf = (values: readonly number[]) => [Math.min(...values), Math.max(...values)] as const;

/** Runs everyone `runs` times in turns after one round of warm-up; the order turns round every time. */
export async function interleave(
  contestants: readonly Contestant[],
  runs: number,
): Promise<readonly (readonly number[])[]> {
  const figures: number[][] = contestants.map(() => []);
  for (let round = -1; round < runs; round++) {
    const order = [...contestants.keys()];
    if (round % 2) order.reverse();
    for (const index of order) {
      const figure = await (contestants[index] as Contestant).run();
      if (round >= 0) (figures[index] as number[]).push(figure);
    }
  }
  return figures;
}

/** The machine in one line: what figures from elsewhere must be compared with care for. */
export function machine(threads: number): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${model}, ${availableParallelism()} cores, ${gib} GiB, ${process.platform}, Node ${process.versions.node}, ${threads} threads`;
}

export interface Provenance {
  readonly command: string;
  readonly machine: string;
}

/** A row of one contestant alone; `contestant` is left out for Attune's own figures. */
export function rowOf(figure: Figure, values: readonly number[], from: Provenance, contestant?: string): Row {
  const { target, mean, ...what } = figure;
  return {
    ...what,
    value: mean ? meanOf(values) : median(values),
    spread: spreadOf(values),
    ...(contestant === undefined ? {} : { contestant }),
    ...(target === undefined || contestant !== undefined ? {} : { target }),
    ...from,
  };
}

/** A row of Attune beside a peer, from runs that alternated. */
export function comparisonOf(
  figure: Figure,
  ours: readonly number[],
  peer: string,
  theirs: readonly number[],
  from: Provenance,
): Row {
  const [a, b] = [median(ours), median(theirs)];
  return {
    ...rowOf(figure, ours, from),
    peer,
    peer_value: b,
    peer_spread: spreadOf(theirs),
    ratio: figure.better === "higher" ? a / b : b / a,
  };
}

/** Whether the row's target is reached; undefined where none is set. */
export function reached({ ratio, value, target, better }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  if (ratio !== undefined) return ratio >= target;
  return better === "higher" ? value >= target : value <= target;
}

const digits = (x: number): string =>
  Math.abs(x) >= 1000
    ? Math.round(x).toLocaleString("en-US")
    : Number(x.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });

/** The rows as a table for people; a missed target has an exclamation mark. */
export function table(rows: readonly Row[]): string {
  const header = [
    "bench",
    "case",
    "metric",
    "of",
    "value",
    "spread",
    "peer",
    "its value",
    "ratio",
    "target",
    "",
  ];
  const lines = rows.map((row) => [
    row.bench,
    row.case,
    row.metric,
    row.contestant ?? "attune",
    `${digits(row.value)} ${row.unit}`,
    `${digits(row.spread[0])} to ${digits(row.spread[1])}`,
    row.peer ?? "",
    row.peer_value === undefined ? "" : digits(row.peer_value),
    row.ratio === undefined ? "" : row.ratio.toFixed(2),
    row.target === undefined ? "" : digits(row.target),
    { true: "ok", false: "! missed", undefined: "" }[`${reached(row)}`],
  ]);
  const widths = header.map((title, i) =>
    Math.max(title.length, ...lines.map((line) => line[i]?.length ?? 0)),
  );
  const show = (line: readonly (string | undefined)[]) =>
    line
      .map((cell, i) => (cell ?? "").padEnd(widths[i] as number))
      .join("  ")
      .trimEnd();
  return [show(header), show(widths.map((n) => "-".repeat(n))), ...lines.map(show)].join("\n");
}
