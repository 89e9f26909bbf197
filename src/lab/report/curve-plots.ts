/** Reward over d = sqrt(KL): what was measured as dots, the fitted curve with its band, the peak with its interval. */
import * as Plot from "@observablehq/plot";
import { curveAt, type FittedCurve } from "../../evaluate/index.ts";
import { chart, figure, grid, type LegendEntry, type Point, rootOfKl } from "../../runs/report/charts.ts";
import { number } from "../../runs/report/format.ts";
import type { Html } from "../../runs/report/html.ts";
import type { Highest } from "../overopt/highest.ts";

export interface CurveSeries extends LegendEntry {
  readonly points: readonly Point[];
  readonly fit?: FittedCurve | undefined;
  /** Of the fit. */
  readonly highest?: Highest | undefined;
  /** Through the points, where there is no fit. */
  readonly line?: readonly Point[];
  /** Where the runs end: you are here. */
  readonly here?: Point | undefined;
}

export interface CurvePlotOptions {
  readonly unit?: string;
  readonly note?: string;
  /** The reward of the reference. */
  readonly start?: number | undefined;
}

const steps = 80;

/** A plot of one reward for several series. */
export function curvePlot(
  title: string,
  series: readonly CurveSeries[],
  { unit = "", note, start }: CurvePlotOptions = {},
): Html {
  const farthestOf = ({ points }: CurveSeries) => Math.max(...points.map(([d]) => d), 0.1);
  const farthest = Math.max(...series.map(farthestOf), 0.1);
  const rewards = series.flatMap(({ points }) => points.map(([, reward]) => reward));
  const [low, high] = [Math.min(...rewards), Math.max(...rewards)];
  const marks = series.flatMap((one): Plot.Markish[] => {
    const { points, fit, highest, line, here, colour } = one;
    const end = farthestOf(one); // beyond its points a curve says nothing
    const peak = highest?.course === "turns" ? highest : undefined;
    return [
      ...(peak
        ? [
            Plot.rect([peak], {
              x1: () => peak.low,
              x2: () => Math.min(end, peak.high),
              fill: colour,
              fillOpacity: 0.08,
            }),
            Plot.ruleX([peak.mean], { stroke: colour, strokeDasharray: "3,3", strokeWidth: 1.25 }),
          ]
        : []),
      ...(fit
        ? [
            Plot.areaY(fit.band, {
              x: "d",
              y1: "low",
              y2: "high",
              fill: colour,
              fillOpacity: 0.13,
              clip: true,
            }),
            Plot.line(
              Array.from({ length: steps + 1 }, (_, i) => (end * i) / steps).map((d) => [
                d,
                curveAt(fit.curve, d),
              ]),
              { x: "0", y: "1", stroke: colour, strokeWidth: 1.75, clip: true },
            ),
          ]
        : []),
      ...(line ? [Plot.line(line, { x: "0", y: "1", stroke: colour, strokeWidth: 1.5 })] : []),
      Plot.dot(points, { x: "0", y: "1", r: 2.2, fill: colour, fillOpacity: 0.55 }),
      ...(here
        ? [Plot.dot([here], { x: "0", y: "1", r: 6, stroke: colour, strokeWidth: 2, fill: "var(--card)" })]
        : []),
    ];
  });
  return figure(
    title,
    chart({
      alt: `${title} over the square root of KL: ${series.map(inWords).join("; ")}`,
      width: 540,
      height: 300,
      x: { label: rootOfKl, domain: [0, farthest * 1.03] },
      y: { nice: true, domain: [low - 0.06 * (high - low), high + 0.06 * (high - low)] },
      marks: [
        ...grid(),
        ...(start === undefined
          ? []
          : [Plot.ruleY([start], { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "2,4" })]),
        ...marks,
      ],
    }),
    {
      legend: series.length > 1 ? series.map(({ name, colour }) => ({ name, colour })) : [],
      unit,
      ...(note !== undefined && { note }),
    },
  );
}

function inWords({ name, points, highest }: CurveSeries): string {
  const [first, last] = [points[0], points.at(-1)];
  const course = first && last ? `${name} from ${number(first[1])} to ${number(last[1])}` : name;
  if (!highest) return course;
  return `${course}, ${highest.course === "turns" ? `peak at ${number(highest.mean)}` : `the curve ${highest.course}`}`;
}
