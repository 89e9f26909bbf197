/** The report of a frontier or a sweep, as one HTML page. */
import * as Plot from "@observablehq/plot";
import { chart, colourOf, figure, grid, rootOfKl } from "../../runs/report/charts.ts";
import { count, duration, number, score, withInterval } from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import type { Interval } from "../../runs/report/schema.ts";
import { document, type PageSection } from "../../runs/report/shell.ts";
import { table } from "../../runs/report/table.ts";
import { tiles } from "../../runs/report/tiles.ts";
import type { FrontierFigures, SeedFigures, SettingFigures } from "../frontier/figures.ts";
import type { ParetoFigures } from "../pareto/figures.ts";
import { labels } from "./label-places.ts";
import { paretoLead, paretoSection } from "./pareto-section.ts";

/** @param pareto of a sweep over the weights of objectives; there may be nothing else */
export function frontierPage(figures: FrontierFigures, pareto?: ParetoFigures): string {
  const hasRuns = figures.settings.length > 0;
  return document({
    title: `${figures.name}: ${hasRuns ? "reward against KL" : "objectives against each other"}`,
    brand: hasRuns ? "frontier" : "objectives",
    heading: figures.name,
    lead: hasRuns || !pareto ? lead(figures) : paretoLead(pareto),
    sections: [
      ...(pareto ? [paretoSection(pareto)] : []),
      ...(hasRuns ? [plots(figures), settings(figures), costs(figures), seeds(figures)] : []),
    ],
    footer: html`<p>Intervals hold 95 %, over seeds by Student's t; of a single seed over its prompts. KL is that of the model from the
one that it started from, in nats, summed over a response. <code>figures.json</code> has the figures.</p>`,
  });
}

const stagesOf = ({ settings: all }: FrontierFigures): string[] => [
  ...new Set(all.map(({ stage }) => stage)),
];
const colourOfStage = (figures: FrontierFigures, stage: string): string =>
  colourOf(stagesOf(figures).indexOf(stage) + 1);

function lead({ settings: all, start, prompts }: FrontierFigures): Html {
  const best = [...all]
    .filter(({ gold, proxy }) => gold ?? proxy)
    .sort((a, b) => ((b.gold ?? b.proxy)?.mean ?? 0) - ((a.gold ?? a.proxy)?.mean ?? 0))[0];
  const reward = best && (best.gold ?? best.proxy);
  const before = best?.gold ? start?.gold : start?.proxy;
  const runs = all.reduce((n, { seeds: each }) => n + each.length, 0);
  return html`<p class="lead">${
    best && reward
      ? `Of ${all.length} settings ${best.group} has the most ${best.gold ? "gold" : "proxy"} reward: ${score(reward.mean)} (${score(reward.low)} to ${score(reward.high)}).${courseFrom(reward, before)}`
      : "No setting was measured by a reward."
  }</p>${tiles([
    { name: "settings", value: String(all.length), note: `${runs} runs` },
    ...(start?.gold
      ? [{ name: "gold reward before", value: score(start.gold.mean), note: `${prompts} prompts` }]
      : []),
    ...(best?.kl ? [{ name: "KL of the best", value: number(best.kl.mean), note: "nats a response" }] : []),
  ])}`;
}

/** Whether that is more than the model had before. */
function courseFrom({ mean, low }: Interval, before: Interval | undefined): string {
  if (!before) return "";
  const had = `The model before had ${score(before.mean)}`;
  if (mean <= before.mean) return ` ${had}: no setting gained any.`;
  return low <= before.mean ? ` ${had}, which lies within that interval.` : ` ${had}.`;
}

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

function placedOf(figures: FrontierFigures, key: "gold" | "proxy"): Placed[] {
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
        fill: setting.onFrontier ? colour : "var(--card)",
      },
    ];
  });
}

function plots(figures: FrontierFigures): PageSection {
  const dots = (key: "gold" | "proxy") =>
    figures.settings.flatMap(({ stage, seeds: each }) =>
      each.flatMap((seed) =>
        seed.kl === undefined || seed[key] === undefined
          ? []
          : [{ x: root(seed.kl), y: seed[key], colour: colourOfStage(figures, stage) }],
      ),
    );
  const plot = (title: string, key: "gold" | "proxy"): Html | undefined => {
    const placed = placedOf(figures, key);
    if (placed.length === 0) return undefined;
    const start = figures.start?.[key]?.mean;
    const courses = stagesOf(figures).map((stage) => ({
      colour: colourOfStage(figures, stage),
      line: placed.filter(({ colour }) => colour === colourOfStage(figures, stage)).sort((a, b) => a.x - b.x),
    }));
    const seedDots = dots(key);
    const x = [
      0,
      1.12 * Math.max(0.1, ...placed.map((dot) => dot.x), ...seedDots.map((dot) => dot.x)),
    ] as const;
    const y = domainOf([
      ...seedDots.map((dot) => dot.y),
      ...placed.map((dot) => dot.y),
      ...(start === undefined ? [] : [start]),
    ]);
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
          Plot.dot(seedDots, { x: "x", y: "y", r: 2, fill: "colour", fillOpacity: 0.5 }),
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
          Plot.ruleY(placed, {
            y: "y",
            x1: "xLow",
            x2: "xHigh",
            stroke: "colour",
            strokeWidth: 1,
            clip: true,
          }),
          Plot.dot(placed, { x: "x", y: "y", r: 5, fill: "fill", stroke: "colour", strokeWidth: 1.75 }),
          ...labels(placed, { x, y, width: 450, height: 280 }),
        ],
      }),
      {
        legend: stagesOf(figures).map((stage) => ({
          name: `${stage}, by ${fieldsOf(figures, stage).join(", ")}`,
          colour: colourOfStage(figures, stage),
        })),
        note: "Large dots: a setting's mean over the seeds, with 95 % intervals; filled where no other setting has more reward at as little KL. Small dots: seeds. Dotted: the model before.",
      },
    );
  };
  return {
    id: "frontier",
    title: "Reward against KL",
    content: html`<p>What each setting gained for how far it moved the model: up and to the left is better.</p>
<div class="figures two">${plot("Gold reward", "gold")}${plot("Proxy reward", "proxy")}</div>`,
  };
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

/** Around the means, so that a wide interval does not flatten them all. */
function domainOf(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const edge = 0.12 * (high - low || 1);
  return [low - edge, high + edge];
}

const atLeastZero = ({ mean, low, high }: Interval): Interval => ({ mean, low: Math.max(0, low), high });
const mib = (bytes: number | undefined) => bytes !== undefined && `${count(bytes / 2 ** 20)} MiB`;

function settings({ settings: all }: FrontierFigures): PageSection {
  return {
    id: "settings",
    title: "Settings",
    content: table<SettingFigures>(
      "Settings",
      [
        { title: "setting", heading: true, cell: ({ group }) => group },
        { title: "seeds", numeric: true, cell: ({ seeds: each }) => each.length },
        { title: "gold reward", numeric: true, cell: ({ gold }) => gold && withInterval(gold) },
        { title: "proxy reward", numeric: true, cell: ({ proxy }) => proxy && withInterval(proxy) },
        {
          title: html`KL <span class="against">nats per response</span>`,
          numeric: true,
          cell: ({ kl }) => kl && withInterval(atLeastZero(kl), number),
        },
        { title: "time", numeric: true, cell: ({ seconds }) => duration(seconds.mean) },
        { title: "peak memory", numeric: true, cell: ({ peak_memory_bytes }) => mib(peak_memory_bytes) },
        { title: "on the frontier", cell: ({ onFrontier }) => onFrontier && "yes" },
      ],
      all,
    ),
  };
}

function costs(figures: FrontierFigures): PageSection {
  const longest = Math.max(...figures.settings.map(({ seconds }) => seconds.mean));
  const [unitOfTime, inUnit] = longest < 120 ? (["seconds", 1] as const) : (["minutes", 60] as const);
  const rows = figures.settings.map(({ group, stage, seconds, peak_memory_bytes: memory }) => ({
    group,
    time: seconds.mean / inUnit,
    memory: (memory ?? 0) / 2 ** 20,
    colour: colourOfStage(figures, stage),
  }));
  const bars = (title: string, x: "time" | "memory", unit: string) =>
    figure(
      title,
      chart({
        alt: `${title}: ${rows.map((row) => `${row.group} ${number(row[x])} ${unit}`).join("; ")}`,
        width: 540,
        height: 60 + 22 * rows.length,
        x: { label: unit },
        y: { domain: rows.map(({ group }) => group), label: null },
        color: { type: "identity" },
        marks: [
          Plot.gridX({ ticks: 5, stroke: "currentColor", strokeOpacity: 0.12 }),
          Plot.axisX({ tickSize: 0, ticks: 5, labelArrow: "none" }),
          Plot.axisY({ tickSize: 0, label: null }),
          Plot.barX(rows, { x, y: "group", fill: "colour", insetTop: 3, insetBottom: 3 }),
        ],
      }),
    );
  return {
    id: "costs",
    title: "What it took",
    content: html`<div class="figures two">${bars("Wall-clock time of a run", "time", unitOfTime)}${
      rows.some(({ memory }) => memory > 0) && bars("Peak memory of the process", "memory", "MiB")
    }</div>`,
  };
}

function seeds({ settings: all }: FrontierFigures): PageSection {
  const rows = all.flatMap(({ group, seeds: each }) => each.map((seed) => ({ group, ...seed })));
  return {
    id: "seeds",
    title: "Every run",
    content: table<SeedFigures & { readonly group: string }>(
      "Every run",
      [
        { title: "setting", heading: true, cell: ({ group }) => group },
        { title: "seed", numeric: true, cell: ({ seed }) => seed },
        { title: "gold", numeric: true, cell: ({ gold }) => gold !== undefined && score(gold) },
        { title: "proxy", numeric: true, cell: ({ proxy }) => proxy !== undefined && score(proxy) },
        { title: "KL, nats", numeric: true, cell: ({ kl }) => kl !== undefined && number(kl) },
        { title: "length, tokens", numeric: true, cell: ({ length }) => length.toFixed(1) },
        { title: "distinct-2", numeric: true, cell: ({ distinct_2 }) => number(distinct_2) },
        {
          title: "same answer to another prompt",
          numeric: true,
          cell: ({ duplicates }) => number(duplicates),
        },
        { title: "time", numeric: true, cell: ({ seconds }) => duration(seconds) },
      ],
      rows,
    ),
  };
}
