/** Where the time went: one bar with a piece a stage, and one for what an iteration of RL consists of. */
import * as Plot from "@observablehq/plot";
import { chart, colourOf, figure } from "../charts.ts";
import { duration, list, percent } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { RunData, StageData } from "../run-data.ts";
import type { Section } from "../section.ts";

interface Piece {
  readonly name: string;
  readonly seconds: number;
  readonly colour: string;
}

export const time: Section = {
  id: "time",
  title: "Where the time went",
  render(data) {
    const bars = [wholeRun(data), ...data.stages.map(iteration)].filter((bar) => bar !== undefined);
    return bars.length === 0 ? undefined : html`<div class="figures">${bars}</div>`;
  },
};

const sum = (pieces: readonly Piece[]): number => pieces.reduce((total, { seconds }) => total + seconds, 0);

function wholeRun({ run, stages }: RunData): Html | undefined {
  const pieces: Piece[] = stages.flatMap(({ name, colour, seconds }) =>
    seconds !== undefined && seconds > 0 ? [{ name, seconds, colour: colourOf(colour) }] : [],
  );
  if (pieces.length < 2) return undefined;
  const inStages = sum(pieces);
  const rest = (run.seconds ?? 0) - inStages;
  if (rest > inStages / 100)
    pieces.push({ name: "the rest: data, evaluation, report", seconds: rest, colour: "var(--rest)" });
  return bar(`${duration(Math.max(run.seconds ?? 0, inStages))} in all`, pieces, ({ seconds }) =>
    duration(seconds),
  );
}

/** Metrics of RL trainers that say what took how long, in seconds of an iteration. */
const iterationParts: Readonly<Record<string, string>> = {
  "time/rollout": "rollout",
  "time/score": "reward, reference and values",
  "time/update": "update",
};

function iteration({ name, metrics_log }: StageData): Html | undefined {
  const pieces = Object.entries(iterationParts).flatMap(([metric, part], i): Piece[] => {
    const seconds = metrics_log.flatMap((line) => (typeof line[metric] === "number" ? [line[metric]] : []));
    const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
    return seconds.length > 0 ? [{ name: part, seconds: mean, colour: colourOf(i + 5) }] : [];
  });
  const total = sum(pieces);
  return pieces.length < 2
    ? undefined
    : bar(`An iteration of ${name}: ${duration(total)}`, pieces, ({ seconds }) => percent(seconds / total));
}

function bar(title: string, pieces: readonly Piece[], label: (piece: Piece) => string): Html {
  const total = sum(pieces);
  const names = pieces.map((piece) => `${piece.name} ${label(piece)}`);
  const ticks = ticksTo(total);
  return figure(
    title,
    chart({
      alt: `${title}: ${list(names)}`,
      width: 1100,
      height: ticks.length > 0 ? 58 : 42,
      marginLeft: 1,
      marginRight: 1,
      marginTop: 0,
      marginBottom: ticks.length > 0 ? 20 : 4,
      x: { axis: null, domain: [0, total] },
      y: { axis: null },
      color: { type: "identity" },
      marks: [
        Plot.barX(pieces, Plot.stackX({ x: "seconds", fill: "colour", inset: 0.75, rx: 3 })),
        Plot.axisX({ ticks, tickSize: 3, tickFormat: clock, label: null }),
      ],
    }),
    { legend: pieces.map(({ colour }, i) => ({ colour, name: names[i] as string })), wide: true },
  );
}

/** Seconds between ticks that people count in, at most eight of them. */
function ticksTo(total: number): number[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const step = steps.find((seconds) => total / seconds <= 8) ?? total / 4;
  return Array.from({ length: Math.max(0, Math.floor((total - step / 2) / step)) }, (_, i) => (i + 1) * step);
}

/** 0:30, 2:00, 1:00:00. */
function clock(seconds: number): string {
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const minutes = `${seconds >= 3600 ? two((seconds % 3600) / 60) : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${minutes}` : minutes;
}
