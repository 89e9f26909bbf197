/** The report of a frontier or a sweep, as one HTML page. */
import * as Plot from "@observablehq/plot";
import { chart, figure } from "../../runs/report/charts.ts";
import { count, duration, number, score, withInterval } from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import type { Interval } from "../../runs/report/schema.ts";
import { document, type PageSection } from "../../runs/report/shell.ts";
import { table } from "../../runs/report/table.ts";
import { tiles } from "../../runs/report/tiles.ts";
import type { FrontierFigures, SeedFigures, SettingFigures } from "../frontier/figures.ts";
import type { ParetoFigures } from "../pareto/figures.ts";
import { colourOfStage, frontierPlots } from "./frontier-plots.ts";
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
      ...(hasRuns ? [frontierPlots(figures), settings(figures), costs(figures), seeds(figures)] : []),
    ],
    footer: html`<p>Intervals hold 95 %, over seeds by Student's t; of a single seed over its prompts. KL is that of the model from the
one that it started from, in nats, summed over a response. <code>figures.json</code> has the figures.</p>`,
  });
}

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
        {
          title: `on the frontier of ${all.some(({ gold }) => gold) ? "gold" : "proxy"} reward`,
          cell: ({ onFrontier }) => onFrontier && "yes",
        },
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
