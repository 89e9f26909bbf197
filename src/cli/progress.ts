/**
 * One progress line on standard error: bar, step, rate, time left, a few metrics (loss; reward and KL under RL).
 * On a terminal the line updates in place; elsewhere (a log file, CI) a plain line follows every few seconds.
 * Written here because cli-progress and its like draw the bar only: the token rate over a window, the plain lines
 * for logs and the numbers that fit the width are what this file is about.
 */

export interface ProgressOptions {
  /** What is being done: "train", "generate". */
  readonly label: string;
  /** Steps in all; undefined when nobody knows, then there is no bar and no time left. */
  readonly total?: number | undefined;
  /** The unit behind the rate, "tok" by default; counts come with `update`. */
  readonly unit?: string;
  /** Milliseconds between lines when the stream is not a terminal. */
  readonly plainEvery?: number;
  readonly quiet?: boolean;
  readonly stream: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  /** Milliseconds from any origin. */
  readonly now?: () => number;
}

/** What happened since the last update. */
export interface ProgressUpdate {
  /** Units (tokens) done since the start, for the rate. */
  readonly units?: number;
  /** Shown as `name value`, in this order, as far as the line is wide enough. */
  readonly metrics?: Readonly<Record<string, number>>;
}

export interface Progress {
  /** `step` of `total` are done. */
  update(step: number, update?: ProgressUpdate): void;
  /** Writes a whole line above the progress line. */
  log(line: string): void;
  /** Draws the last state once more and ends the line; later calls do nothing. */
  done(): void;
}

const redrawEvery = 100; // ms, on a terminal
const rateWindow = 15_000; // ms: rate and time left follow the last quarter of a minute
const barWidth = 20;

/** What a line calls the metrics of RL, whose own names would fill it. */
const shortNames: Readonly<Record<string, string>> = {
  "objective/scores": "reward",
  "objective/rlhf_reward": "reward less KL",
  "objective/kl": "KL",
  "policy/entropy_avg": "entropy",
  "rewards/accuracies": "accuracy",
  "rewards/margins": "margin",
  "completions/mean_length": "length",
};

interface Sample {
  readonly time: number;
  readonly step: number;
  readonly units: number;
}

export function createProgress(options: ProgressOptions): Progress {
  const {
    label,
    total,
    unit = "tok",
    plainEvery = 5_000,
    quiet = false,
    stream,
    now = () => performance.now(),
  } = options;
  const inPlace = stream.isTTY === true;
  const start: Sample = { time: now(), step: 0, units: 0 };
  let samples: Sample[] = [];
  let latest: ProgressUpdate = {};
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawnLength = 0;
  let drawnStep = -1;
  let ended = quiet;

  function describe(): string {
    const last = samples.at(-1) ?? start;
    // A first update beyond step 1 is that of a resumed run, and its tokens are not the work of this process:
    // rates count from there.
    const first = samples.length > 1 ? (samples[0] as Sample) : last.step <= 1 ? start : last;
    const seconds = (last.time - first.time) / 1000;
    const parts = [label];
    if (total !== undefined && inPlace) parts.push(bar(last.step / total));
    parts.push(total === undefined ? `${last.step}` : `${last.step}/${total}`);
    if (seconds > 0 && last.units > first.units)
      parts.push(`${compact((last.units - first.units) / seconds)} ${unit}/s`);
    if (total !== undefined && seconds > 0 && last.step > first.step && last.step < total)
      parts.push(`${duration(((total - last.step) * seconds) / (last.step - first.step))} left`);
    if (last.step === total) parts.push(`${duration((last.time - start.time) / 1000)} in all`);
    for (const [name, value] of Object.entries(latest.metrics ?? {}))
      parts.push(`${shortNames[name] ?? name} ${significant(value)}`);
    const width = inPlace ? (stream.columns ?? 80) - 1 : Number.POSITIVE_INFINITY;
    while (parts.length > 2 && parts.join("  ").length > width) parts.pop();
    return parts.join("  ").slice(0, inPlace ? width : undefined);
  }

  function draw(): void {
    drawnAt = now();
    drawnStep = samples.at(-1)?.step ?? 0;
    const text = describe();
    stream.write(inPlace ? `\r${text.padEnd(drawnLength)}` : `${text}\n`);
    drawnLength = text.length;
  }

  return {
    update(step, update = {}) {
      const time = now();
      const units = update.units ?? samples.at(-1)?.units ?? 0;
      samples.push({ time, step, units });
      samples = samples.filter((sample, i) => time - sample.time <= rateWindow || i >= samples.length - 2);
      latest = update.metrics ? update : { ...update, ...(latest.metrics && { metrics: latest.metrics }) };
      if (!ended && time - drawnAt >= (inPlace ? redrawEvery : plainEvery)) draw();
    },
    log(line) {
      if (inPlace && drawnLength > 0 && !ended) stream.write(`\r${" ".repeat(drawnLength)}\r${line}\n`);
      else stream.write(`${line}\n`);
      if (inPlace && !ended && samples.length > 0) draw();
    },
    done() {
      if (ended) return;
      if (samples.length > 0 && (inPlace || drawnStep !== samples.at(-1)?.step)) draw();
      if (inPlace && drawnLength > 0) stream.write("\n");
      ended = true;
    },
  };
}

const bar = (share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * barWidth);
  return `[${"#".repeat(full)}${".".repeat(barWidth - full)}]`;
};

/** 0.00123, 1.234, 123.4, 12345: four digits that mean something. */
export const significant = (value: number): string => {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? Number(value.toPrecision(4)).toString() : value.toExponential(2);
};

/** 950, 12.3k, 1.20M. */
export const compact = (value: number): string => {
  if (value < 1e3) return value < 10 ? value.toPrecision(2) : value.toFixed(0);
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e4 ? 2 : 1)}k`;
  return `${(value / 1e6).toFixed(2)}M`;
};

/** Seconds as `42 s`, `3 min 05 s`, `2 h 10 min`. */
export const duration = (seconds: number): string => {
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
};
