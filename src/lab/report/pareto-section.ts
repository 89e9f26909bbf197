/** The objectives against each other, of a sweep over their weights: a part of the report of a sweep. */
import * as Plot from "@observablehq/plot";
import { chart, colourOf, figure, grid } from "../../runs/report/charts.ts";
import { number, score } from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import type { PageSection } from "../../runs/report/shell.ts";
import { table } from "../../runs/report/table.ts";
import { tiles } from "../../runs/report/tiles.ts";
import { dominates, type ParetoFigures, type WeighedFigures } from "../pareto/figures.ts";
import { weightsLabel } from "../pareto/weights.ts";

const colours = { "best of n": colourOf(1), trained: colourOf(2) } as const;

/** What a report of weights alone begins with. */
export function paretoLead({ ways, start, objectives, prompts }: ParetoFigures): Html {
  const front = ways.filter(({ onFront }) => onFront).length;
  return html`<p class="lead">Of ${ways.length} ways to weigh ${objectives.join(", ")}, ${front} are on the front.</p>${tiles(
    objectives.map((name) => ({
      name: `${name} before`,
      value: start[name] ? score(start[name].mean) : "\u2013",
      note: `${prompts} prompts`,
    })),
  )}`;
}

export function paretoSection(figures: ParetoFigures): PageSection {
  const { objectives, ways } = figures;
  const pairs = objectives.flatMap((x, i) => objectives.slice(i + 1).map((y) => [x, y] as const));
  const front = ways.filter(({ onFront }) => onFront).length;
  return {
    id: "objectives",
    title: "Objectives against each other",
    content: html`<p>${ways.length} ways to weigh ${objectives.join(", ")}; ${front} of them no other one dominates, which would be at
least as good by every objective and better by one. Measured on ${figures.prompts} prompts; best of n takes the best of ${figures.n}.</p>
<div class="figures two">${pairs.map(([x, y]) => plot(figures, x, y))}</div>${settings(figures)}`,
  };
}

function plot({ ways, start }: ParetoFigures, x: string, y: string): Html {
  const points = ways.flatMap((way) => {
    const [across, up] = [way.objectives[x], way.objectives[y]];
    if (!across || !up) return [];
    const colour = colours[way.how];
    return [{ way, across, up, colour, fill: way.onFront ? colour : "var(--card)" }];
  });
  const before = [start[x], start[y]];
  // Of these two objectives alone, from left to right.
  const courses = Object.values(colours).map((own) => {
    const members = points.filter(({ colour }) => colour === own);
    const placeOf = ({ across: a, up: b }: (typeof points)[number]) => [a.mean, b.mean];
    return members
      .filter((point) => !members.some((other) => dominates(placeOf(other), placeOf(point))))
      .sort((a, b) => a.across.mean - b.across.mean);
  });
  const kinds = [...new Set(points.map(({ way }) => way.how))];
  return figure(
    `${y} against ${x}`,
    chart({
      alt: `${y} against ${x}: ${points.map(({ way, across, up }) => `${weightsLabel(way.weights)}, ${way.how}: ${score(across.mean)}, ${score(up.mean)}${way.onFront ? "" : ", dominated"}`).join("; ")}`,
      width: 540,
      height: 330,
      marginRight: 24,
      x: { label: x, nice: true },
      y: { label: y, nice: true },
      color: { type: "identity" },
      marks: [
        ...grid(),
        ...(before[0] && before[1]
          ? [
              Plot.dot([{ x: before[0].mean, y: before[1].mean }], {
                x: "x",
                y: "y",
                symbol: "times",
                r: 6,
                stroke: "currentColor",
              }),
            ]
          : []),
        Plot.link(points, {
          x1: (p) => p.across.low,
          x2: (p) => p.across.high,
          y1: (p) => p.up.mean,
          y2: (p) => p.up.mean,
          stroke: "colour",
          strokeOpacity: 0.35,
        }),
        Plot.link(points, {
          x1: (p) => p.across.mean,
          x2: (p) => p.across.mean,
          y1: (p) => p.up.low,
          y2: (p) => p.up.high,
          stroke: "colour",
          strokeOpacity: 0.35,
        }),
        ...courses.map((course) =>
          Plot.line(course, {
            x: (p) => p.across.mean,
            y: (p) => p.up.mean,
            stroke: "colour",
            strokeDasharray: "4,3",
          }),
        ),
        Plot.dot(points, {
          x: (p) => p.across.mean,
          y: (p) => p.up.mean,
          r: 5,
          fill: "fill",
          stroke: "colour",
          strokeWidth: 1.75,
        }),
        Plot.text(
          points.filter(({ way }) => Object.keys(way.weights).length === 1),
          {
            x: (p) => p.across.mean,
            y: (p) => p.up.mean,
            text: ({ way }) => `${Object.keys(way.weights)[0]} alone`,
            dy: -11,
          },
        ),
      ],
    }),
    {
      legend: kinds.map((name) => ({ name, colour: colours[name] })),
      note: "Filled: on the front, by all objectives at once. Hollow: dominated. Dashed: the front of these two alone. Bars: 95 % intervals. The cross: the model before.",
    },
  );
}

const interval = ({ mean, low, high }: { mean: number; low: number; high: number }): string =>
  `${score(mean)} (${score(low)} to ${score(high)})`;

const settings = ({ objectives, ways }: ParetoFigures): Html =>
  table<WeighedFigures>(
    "Ways to weigh",
    [
      { title: "weights", heading: true, cell: ({ weights }) => weightsLabel(weights) },
      { title: "how", cell: ({ how }) => how },
      ...objectives.map((name) => ({
        title: name,
        numeric: true,
        cell: ({ objectives: each }: WeighedFigures) => each[name] && interval(each[name]),
      })),
      { title: "KL, nats", numeric: true, cell: ({ kl }) => kl !== undefined && number(kl) },
      {
        title: "on the front",
        cell: ({ onFront, dominatedBy }) => (onFront ? "yes" : `no: ${dominatedBy}`),
      },
    ],
    ways,
  );
