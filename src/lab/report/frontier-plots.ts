/** Reward over the square root of KL, a dot for each setting with its intervals, for the gold reward and the proxy. */
import * as Plot from "@observablehq/plot";
import { chart, colourOf, figure, grid, rootOfKl } from "../../runs/report/charts.ts";
import { number, score } from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import type { PageSection } from "../../runs/report/shell.ts";
import { type FrontierFigures, isOnFrontier } from "../frontier/figures.ts";
import { labels } from "./label-places.ts";

type Reward = "gold" | "proxy";
type Ends = readonly [low: number, high: number];

export const colourOfStage = (figures: FrontierFigures, stage: string): string =>
  colourOf(stagesOf(figures).indexOf(stage) + 1);

const stagesOf = ({ settings: all }: FrontierFigures): string[] => [
  ...new Set(all.map(({ stage }) => stage)),
];

export const frontierPlots = (figures: FrontierFigures): PageSection => ({
  id: "frontier",
  title: "Reward against KL",
  content: html`<p>What each setting gained for how far it moved the model: up and to the left is better.</p>
<div class="figures two">${plot("Gold reward", "gold", figures)}${plot("Proxy reward", "proxy", figures)}</div>`,
});

interface Placed {
  readonly x: number;
  readonly xLow: number;
  readonly xHigh: number;
  readonly y: number;
  readonly yLow: number;
  readonly yHigh: number;
  readonly colour: string;
  readonly name: string;
  readonly fill: string;
}

const root = (value: number): number => Math.sqrt(Math.max(0, value));

function placedOf(figures: FrontierFigures, key: Reward): Placed[] {
  return figures.settings.flatMap((setting): Placed[] => {
    const [kl, reward] = [setting.kl, setting[key]];
    if (!kl || !reward) return [];
    const colour = colourOfStage(figures, setting.stage);
    return [
      {
        x: root(kl.mean),
        xLow: root(kl.low), // an interval by Student's t may reach below 0, a KL does not
        xHigh: root(kl.high),
        y: reward.mean,
        yLow: reward.low,
        yHigh: reward.high,
        colour,
        name: Object.values(setting.fields).map(String).join(", "),
        fill: isOnFrontier(setting, figures.settings, key) ? colour : "var(--card)",
      },
    ];
  });
}

function plot(title: string, key: Reward, figures: FrontierFigures): Html | undefined {
  const placed = placedOf(figures, key);
  if (placed.length === 0) return undefined;
  const start = figures.start?.[key]?.mean;
  const courses = stagesOf(figures).map((stage) => {
    const colour = colourOfStage(figures, stage);
    return {
      colour,
      line: placed.filter((dot) => dot.colour === colour).sort((a, b) => a.x - b.x),
    };
  });
  const seeds = figures.settings.flatMap(({ stage, seeds: each }) =>
    each.flatMap((seed) =>
      seed.kl === undefined || seed[key] === undefined
        ? []
        : [{ x: root(seed.kl), y: seed[key], colour: colourOfStage(figures, stage) }],
    ),
  );
  const dots = [...placed, ...seeds];
  const [, right] = axisOf(
    [0, 0.1, ...dots.map((dot) => dot.x)],
    placed.map((dot) => dot.xHigh),
  );
  const x = [0, right] as const;
  const y = axisOf(
    [...dots.map((dot) => dot.y), ...(start === undefined ? [] : [start])],
    placed.flatMap((dot) => [dot.yLow, dot.yHigh]),
  );
  const cut = cutEnds(placed, { x, y });
  return figure(
    title,
    chart({
      alt: `${title} by the square root of KL: ${placed.map((dot) => `${dot.name}: ${score(dot.y)} at ${number(dot.x ** 2)} nats`).join("; ")}`,
      width: 540,
      height: 330,
      marginRight: 40,
      x: { label: rootOfKl, domain: x },
      y: { domain: y },
      color: { type: "identity" },
      marks: [
        ...grid(),
        ...(start === undefined
          ? []
          : [Plot.ruleY([start], { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "2,4" })]),
        Plot.dot(seeds, { x: "x", y: "y", r: 2, fill: "colour", fillOpacity: 0.5 }),
        ...courses.map(({ line, colour }) =>
          Plot.line(line, { x: "x", y: "y", stroke: colour, strokeWidth: 1, strokeOpacity: 0.6 }),
        ),
        Plot.ruleX(placed, {
          x: "x",
          y1: "yLow",
          y2: "yHigh",
          stroke: "colour",
          strokeWidth: 1.75,
          clip: true,
        }),
        Plot.ruleY(placed, { y: "y", x1: "xLow", x2: "xHigh", stroke: "colour", strokeWidth: 1, clip: true }),
        Plot.dot(cut, { x: "x", y: "y", symbol: "triangle", rotate: "turn", r: 4, fill: "colour" }),
        Plot.dot(placed, { x: "x", y: "y", r: 5, fill: "fill", stroke: "colour", strokeWidth: 1.75 }),
        ...labels(placed, { x, y, width: 450, height: 280 }),
      ],
    }),
    {
      legend: stagesOf(figures).map((stage) => ({
        name: `${stage}, by ${fieldsOf(figures, stage).join(", ")}`,
        colour: colourOfStage(figures, stage),
      })),
      note: `Large dots: a setting's mean over the seeds, with 95 % intervals; filled where no other setting has more ${key} reward at as little KL. Small dots: seeds.${start === undefined ? "" : " Dotted: the model before."}${cut.length > 0 ? " Arrows: an interval goes on beyond the plot; the table below has its ends." : ""}`,
    },
  );
}

/** The fields in which a stage's settings differ, those of the stage itself without its name. */
const fieldsOf = ({ settings: all }: FrontierFigures, stage: string): string[] => [
  ...new Set(
    all
      .filter((setting) => setting.stage === stage)
      .flatMap(({ fields }) => Object.keys(fields))
      .map((path) => (path.startsWith(`${stage}.`) ? path.slice(stage.length + 1) : path)),
  ),
];

/**
 * An axis that holds every dot, and the intervals as far as they reach no more than once again as far as the dots on
 * either side: of two seeds an interval may be ten times as wide, and would press all dots into a line.
 */
function axisOf(dots: readonly number[], ends: readonly number[]): Ends {
  const [low, high] = [Math.min(...dots), Math.max(...dots)];
  const span = high - low || 1;
  const edge = 0.12 * span;
  return [
    Math.max(low - span, Math.min(low, ...ends)) - edge,
    Math.min(high + span, Math.max(high, ...ends)) + edge,
  ];
}

interface CutEnd {
  readonly x: number;
  readonly y: number;
  readonly colour: string;
  /** Of an arrow that points up, in degrees clockwise. */
  readonly turn: number;
}

/** Where intervals leave the plot. */
const cutEnds = (placed: readonly Placed[], { x, y }: { readonly x: Ends; readonly y: Ends }): CutEnd[] =>
  placed.flatMap((dot): CutEnd[] => [
    ...(dot.yHigh > y[1] ? [{ x: dot.x, y: y[1], colour: dot.colour, turn: 0 }] : []),
    ...(dot.xHigh > x[1] ? [{ x: x[1], y: dot.y, colour: dot.colour, turn: 90 }] : []),
    ...(dot.yLow < y[0] ? [{ x: dot.x, y: y[0], colour: dot.colour, turn: 180 }] : []),
  ]);
