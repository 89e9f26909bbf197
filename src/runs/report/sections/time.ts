/** Where the time went: one bar, a piece a stage. */
import * as Plot from "@observablehq/plot";
import { chart, colourOf, figure } from "../charts.ts";
import { duration, list } from "../format.ts";
import type { Section } from "../section.ts";

export const time: Section = {
  id: "time",
  title: "Where the time went",
  render({ run, stages }) {
    const rows: { name: string; seconds: number; colour: string }[] = stages.flatMap(
      ({ name, colour, seconds }) =>
        seconds !== undefined && seconds > 0 ? [{ name, seconds, colour: colourOf(colour) }] : [],
    );
    if (rows.length < 2) return undefined;
    const inStages = rows.reduce((sum, { seconds }) => sum + seconds, 0);
    const rest = (run.seconds ?? 0) - inStages;
    if (rest > inStages / 100)
      rows.push({ name: "the rest: data, evaluation, report", seconds: rest, colour: "var(--rest)" });
    const total = rows.reduce((sum, { seconds }) => sum + seconds, 0);
    const inWords = rows.map(({ name, seconds }) => `${name} ${duration(seconds)}`);
    return figure(
      `${duration(Math.max(run.seconds ?? 0, inStages))} in all`,
      chart({
        alt: `Seconds per stage: ${list(inWords)}`,
        width: 1100,
        height: 60,
        marginLeft: 1,
        marginRight: 1,
        marginTop: 0,
        marginBottom: 22,
        x: { axis: null, domain: [0, total] },
        y: { axis: null },
        color: { type: "identity" },
        marks: [
          Plot.barX(rows, Plot.stackX({ x: "seconds", fill: "colour", inset: 0.75, rx: 3 })),
          Plot.axisX({ ticks: ticksTo(total), tickSize: 3, tickFormat: clock, label: null }),
        ],
      }),
      { legend: rows.map((row, i) => ({ ...row, name: inWords[i] as string })), wide: true },
    );
  },
};

/** Seconds between ticks that people count in, at most eight of them. */
function ticksTo(total: number): number[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const step = steps.find((seconds) => total / seconds <= 8) ?? total / 4;
  return Array.from({ length: Math.floor((total - step / 2) / step) }, (_, i) => (i + 1) * step);
}

/** 0:30, 2:00, 1:00:00. */
function clock(seconds: number): string {
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const minutes = `${seconds >= 3600 ? two((seconds % 3600) / 60) : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${minutes}` : minutes;
}
