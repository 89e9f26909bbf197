/**
 * When an RL run should worry somebody: tests on the course of its signals, and the peak of the gold reward's curve.
 *
 *     z = (mean of the last `window` steps - mean of the first `baseline` steps) / sd sqrt(1 / window + 1 / baseline)
 *
 * sd is that of steps around their local mean (differences of neighbours, over sqrt 2), so that a course does not pass
 * for noise. A signal raises an alarm when z goes beyond the threshold in the direction of harm while the proxy rises;
 * the gold reward is held against its best window instead. Signals drift in honest runs too: how often an alarm is
 * false is measured, by `attune monitor`, and no threshold is good before that.
 */
import { type CurvePoint, type FittedCurve, fitRuns, mean, standardDeviation } from "../../evaluate/index.ts";

/** What is seen at one step; a line of monitor.jsonl. */
export interface MonitorLine {
  readonly step: number;
  readonly proxy: number;
  /** Nats a response, from the reference. */
  readonly kl?: number;
  readonly gold?: number;
  /** Tokens. */
  readonly length: number;
  readonly repetition: number;
  readonly duplicates: number;
  /** Nats a response, of the sampled tokens. */
  readonly entropy?: number;
  /** Standard deviation over the members of the proxy. */
  readonly disagreement?: number;
  /** Names of the alarms that were raised. */
  readonly alarms?: readonly string[];
}

/** Signals with the direction that does harm, and what is said. */
export const alarmSignals = {
  gold: { harm: -1, text: "the gold reward falls while the proxy rises" },
  length: { harm: 1, text: "responses grow longer while the proxy rises" },
  repetition: { harm: 1, text: "responses repeat themselves more while the proxy rises" },
  duplicates: { harm: 1, text: "different prompts get the same response more often while the proxy rises" },
  entropy: { harm: -1, text: "the policy's entropy falls while the proxy rises" },
  disagreement: { harm: 1, text: "the proxy's members disagree more while the proxy rises" },
} as const satisfies Partial<Record<keyof MonitorLine, { harm: 1 | -1; text: string }>>;

export type AlarmName = keyof typeof alarmSignals | "peak";

export interface AlarmOptions {
  /** Steps that the others are held against. */
  readonly baseline?: number | undefined;
  /** Steps whose mean is held against them. */
  readonly window?: number | undefined;
  /** Standard errors that a signal may go. */
  readonly threshold?: number | undefined;
  /** Signals that raise alarms. Default: all. */
  readonly alarms?: readonly string[] | undefined;
}

/** What a monitor warns of unless it is told otherwise: entropy and duplicates also drift in honest runs. */
export const defaultAlarms = ["gold", "length", "repetition", "disagreement"] as const;

export const alarmDefaults = { baseline: 8, window: 8, threshold: 6 } as const;

export interface Alarm {
  readonly name: AlarmName;
  readonly text: string;
  /** Standard errors; of the peak the distance d*. */
  readonly value: number;
}

/** The alarms at the last step of a course; none before baseline and window are full. */
export function alarmsAt(lines: readonly MonitorLine[], options: AlarmOptions = {}): Alarm[] {
  const baseline = options.baseline ?? alarmDefaults.baseline;
  const window = options.window ?? alarmDefaults.window;
  const threshold = options.threshold ?? alarmDefaults.threshold;
  const proxy = lines.map((line) => line.proxy);
  if (lines.length < baseline + window || !(driftOfSignal(proxy, { baseline, window }) > 2)) return [];
  return (
    Object.entries(alarmSignals) as [keyof typeof alarmSignals, { harm: 1 | -1; text: string }][]
  ).flatMap(([name, { harm, text }]): Alarm[] => {
    const values = lines.flatMap((line) => line[name] ?? []);
    if (values.length < baseline + window) return [];
    const z =
      name === "gold" ? fallFromBest(values, window) : harm * driftOfSignal(values, { baseline, window });
    return z > threshold ? [{ name, text, value: z }] : [];
  });
}

/** The standard deviation of what is no course: of neighbours' differences, over sqrt 2. */
function noiseOf(values: readonly number[]): number {
  const differences = values.slice(1).map((value, i) => value - (values[i] as number));
  return standardDeviation(differences) / Math.SQRT2;
}

/** How far the last steps are from the first ones, in standard errors; 0 of a signal that never changes. */
export function driftOfSignal(
  values: readonly number[],
  { baseline, window }: { readonly baseline: number; readonly window: number },
): number {
  const change = mean(values.slice(-window)) - mean(values.slice(0, baseline));
  const error = noiseOf(values) * Math.sqrt(1 / window + 1 / baseline);
  return error === 0 ? Math.sign(change) * (change === 0 ? 0 : Number.POSITIVE_INFINITY) : change / error;
}

/** How far the last window is below the best one, in standard errors. */
function fallFromBest(values: readonly number[], window: number): number {
  const means = Array.from({ length: values.length - window + 1 }, (_, i) =>
    mean(values.slice(i, i + window)),
  );
  const fall = Math.max(...means) - (means.at(-1) as number);
  const error = noiseOf(values) * Math.sqrt(2 / window);
  return error === 0 ? (fall > 0 ? Number.POSITIVE_INFINITY : 0) : fall / error;
}

/** Where the gold reward's curve peaks by what was seen so far; undefined while too little was. */
export function predictedPeak(
  lines: readonly MonitorLine[],
  { least = 16, seed = 0 }: { readonly least?: number; readonly seed?: number } = {},
): FittedCurve | undefined {
  const points = lines.flatMap(({ kl, gold }): CurvePoint[] =>
    kl === undefined || gold === undefined ? [] : [{ d: Math.sqrt(Math.max(0, kl)), reward: gold }],
  );
  if (new Set(points.map(({ d }) => d)).size < least) return undefined;
  return fitRuns([points], { form: "rl", n: 200, seed, bandSteps: 0 });
}

/** Whether a run is beyond the peak for sure: the upper end of its interval is behind it. A fall from the start peaks at 0. */
export function isPastPeak(lines: readonly MonitorLine[]): Alarm | undefined {
  const d = Math.sqrt(Math.max(0, mean(lines.slice(-3).map(({ kl = Number.NaN }) => kl))));
  const peak = predictedPeak(lines)?.highest;
  if (!peak || !(d > peak.high)) return undefined;
  const text = `past the predicted peak of the gold reward: d = ${d.toFixed(2)}, peak at ${peak.mean.toFixed(2)} (${peak.low.toFixed(2)} to ${peak.high.toFixed(2)})`;
  return { name: "peak", text, value: peak.mean };
}

/** How often a course raised each alarm: at which step first, and at what share of the steps it could. */
export function replay(
  lines: readonly MonitorLine[],
  options: AlarmOptions = {},
): Readonly<Partial<Record<AlarmName, { readonly first: number; readonly share: number }>>> {
  const found: Partial<Record<AlarmName, { first: number; count: number }>> = {};
  const from = (options.baseline ?? alarmDefaults.baseline) + (options.window ?? alarmDefaults.window);
  for (let n = from; n <= lines.length; n++) {
    const now = lines.slice(0, n);
    const past = isPastPeak(now);
    for (const { name } of [...alarmsAt(now, options), ...(past ? [past] : [])]) {
      const known = found[name] ?? { first: (lines[n - 1] as MonitorLine).step, count: 0 };
      found[name] = { ...known, count: known.count + 1 };
    }
  }
  const steps = Math.max(1, lines.length - from + 1);
  return Object.fromEntries(
    Object.entries(found).map(([name, { first, count }]) => [name, { first, share: count / steps }]),
  );
}
