/** The report of a study of over-optimisation, as one HTML page. */

import * as Plot from "@observablehq/plot";
import { type DriftSignal, driftSignals, type Range } from "../../evaluate/index.ts";
import { chart, colourOf, figure, grid, type Point, rootOfKl } from "../../runs/report/charts.ts";
import { number, score } from "../../runs/report/format.ts";
import { html } from "../../runs/report/html.ts";
import { document, type PageSection } from "../../runs/report/shell.ts";
import { table } from "../../runs/report/table.ts";
import type { OveroptFigures } from "../overopt/figures.ts";
import type { Outcome, RunGroup, RunPoint } from "../overopt/groups.ts";
import { changeText, type Highest, peakText } from "../overopt/highest.ts";
import type { WayFigures } from "../overopt/ways.ts";
import { type CurveSeries, curvePlot } from "./curve-plots.ts";
import { judgeSection } from "./judge-section.ts";
import { overoptLead } from "./overopt-lead.ts";

/** Which colour belongs to what: groups and proxies each have theirs by their place. */
const colour = (index: number): string => colourOf(index + 1);

export function overoptPage(figures: OveroptFigures): string {
  const sections = [
    rl(figures),
    ways(figures),
    bestOfN(figures),
    drift(figures),
    judgeSection(figures, colour),
    gaps(figures),
  ];
  return document({
    title: `${figures.name}: over-optimisation`,
    brand: "over-optimisation",
    heading: figures.name,
    lead: overoptLead(figures),
    sections: sections.flatMap((section): PageSection[] => (section ? [section] : [])),
    footer: html`<p>d is the square root of KL(policy || reference) in nats, summed over a response. Written by
<code>attune overopt</code> from the files in the study's folder; <code>figures.json</code> has the figures.</p>`,
  });
}

const signedScore = (value: number): string => score(value, true);

const rangeText = ({ mean, low, high }: Range): string => `${score(mean)} (${score(low)} to ${score(high)})`;

const highestText = ({ highest }: { readonly highest?: Highest }): string | undefined =>
  highest && peakText(highest, number);

/** In place of a difference of peaks. */
const noShift = "no peak to compare";

/** Means over the seeds of each step, in the order of the steps. */
function bySteps(points: readonly RunPoint[], of: (point: RunPoint) => number | undefined): Point[] {
  const steps = [...new Set(points.map(({ step }) => step))].sort((a, b) => a - b);
  return steps.flatMap((step): Point[] => {
    const members = points.filter((point) => point.step === step);
    const values = members.flatMap((point) => of(point) ?? []);
    if (values.length === 0) return [];
    const average = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
    return [[average(members.map(({ d }) => d)), average(values)]];
  });
}

const pointsOf = (points: readonly RunPoint[], key: "proxy" | "gold"): Point[] =>
  points.flatMap((point): Point[] => (point[key] === undefined ? [] : [[point.d, point[key]]]));

const outcomeWords: Readonly<Record<Outcome, string>> = {
  hacked: "was hacked",
  fell: "fell beyond noise",
  "within noise": "fell within noise",
  "at its best": "is at its best",
};

function rl({ groups, start, proxies }: OveroptFigures): PageSection | undefined {
  if (groups.length === 0) return undefined;
  const startOf = (name: string): Point[] => {
    const reward = proxies.find((proxy) => proxy.name === name)?.start.proxy;
    return reward !== undefined && Number.isFinite(reward) ? [[0, reward]] : [];
  };
  const series = (key: "proxy" | "gold"): CurveSeries[] =>
    groups.map(({ group, proxy, points, fit, highest, last }, i) => ({
      name: group,
      colour: colour(i),
      points: pointsOf(points, key),
      ...(key === "gold"
        ? { fit, highest }
        : { line: [...startOf(proxy), ...bySteps(points, (point) => point.proxy)] }),
      ...(last[key] !== undefined && { here: [last.d, last[key]] as const }),
    }));
  const disagreement = groups.flatMap(({ group, points }, i) => {
    const line = bySteps(points, (point) => point.disagreement);
    return line.length > 0 ? [{ name: group, colour: colour(i), points: line, line }] : [];
  });
  return {
    id: "rl",
    title: "Reward over the distance from the reference",
    content: html`<p>What the policy optimises, and what it is worth. Where the proxy goes on rising and the gold reward falls, the
policy is past the peak: stop before it. Rings are where the runs ended. A curve without a peak among what was measured
falls from the start, or rises to the end. The best of several noisy snapshots lies above the end even where nothing
fell; so a fall counts where its interval leaves 0 out: 95 % for all snapshots at once, over ${
      groups.some(({ seeds }) => seeds > 1) ? "prompts and seeds" : "prompts alone, of one seed"
    }. The reward was hacked where the proxy went on rising meanwhile.</p>
<div class="figures two">${
      groups.some(({ last }) => last.proxy !== undefined) &&
      curvePlot("Proxy reward", series("proxy"), {
        note: "Each dot is a snapshot of one run; lines are means over the seeds.",
      })
    }${curvePlot("Gold reward", series("gold"), {
      start: start.gold?.mean,
      note: "Lines: d (\u03b1 \u2212 \u03b2 log d) by least squares, with the 95 % band of the bootstrap over seeds and snapshots. Dashed and shaded: the peak and its interval. Dotted: the reference.",
    })}${
      disagreement.length > 0 &&
      curvePlot("Disagreement of the proxy's members", disagreement, {
        note: "Standard deviation over the members, the mean over responses.",
      })
    }</div>
${table<RunGroup>(
  "Runs",
  [
    { title: "runs", heading: true, cell: ({ group }) => group },
    { title: "seeds", numeric: true, cell: ({ seeds }) => seeds },
    { title: "\u03b1", numeric: true, cell: ({ fit }) => fit && number(fit.curve.alpha) },
    { title: "\u03b2", numeric: true, cell: ({ fit }) => fit && number(fit.curve.beta) },
    { title: "R\u00b2", numeric: true, cell: ({ fit }) => fit?.curve.r2.toFixed(2) },
    { title: "peak d*", numeric: true, cell: highestText },
    ...(groups.some(({ beside }) => beside !== undefined)
      ? [
          {
            title: "peak beside the first",
            numeric: true,
            cell: ({ beside, shift }: RunGroup) =>
              beside !== undefined && (shift ? changeText(shift, signedScore) : noShift),
          },
        ]
      : []),
    {
      title: "gold at the peak",
      numeric: true,
      cell: ({ fit, highest }) =>
        highest?.course === "turns" && fit?.curve.peak && score(fit.curve.peak.reward),
    },
    {
      title: "best measured",
      numeric: true,
      cell: ({ best }) =>
        best &&
        (best.step === 0
          ? `${score(best.gold)} at the start`
          : `${score(best.gold)} at d = ${number(best.d)}`),
    },
    {
      title: "at the end",
      numeric: true,
      cell: ({ last }) => last.gold !== undefined && `${score(last.gold)} at d = ${number(last.d)}`,
    },
    {
      title: "proxy gained",
      numeric: true,
      cell: ({ change }) => change.proxy !== undefined && score(change.proxy, true),
    },
    {
      title: "gold since its best",
      numeric: true,
      cell: ({ change: { gold_since_best: fallen }, fall }) =>
        fall ? changeText(fall, signedScore) : fallen !== undefined && score(fallen, true),
    },
    { title: "so the reward", cell: ({ outcome }) => outcome && outcomeWords[outcome] },
  ],
  groups,
)}`,
  };
}

function bestOfN({ proxies, start }: OveroptFigures): PageSection | undefined {
  const sampled = proxies.filter((proxy) => proxy.bestOfN.length > 1);
  if (sampled.length === 0) return undefined;
  const series = (key: "proxy" | "gold"): CurveSeries[] =>
    sampled.map(({ name, bestOfN: points, fit, highest }, i) => {
      const dots = points.flatMap((point): Point[] => (point[key] ? [[point.d, point[key].mean]] : []));
      return {
        name,
        colour: colour(i),
        points: dots,
        ...(key === "gold" && fit ? { fit, highest } : { line: dots }),
      };
    });
  const rows = sampled.flatMap((proxy) => proxy.bestOfN.map((point) => ({ ...point, name: proxy.name })));
  return {
    id: "best-of-n",
    title: "Best of n",
    content: html`<p>No training: of n samples of the reference the one that the proxy likes best. The expectation over all subsets of
the samples, so that no sample is drawn twice.</p>
<div class="figures two">${curvePlot("Proxy reward", series("proxy"), {})}${curvePlot(
      "Gold reward",
      series("gold"),
      {
        start: start.gold?.mean,
        note: "Lines: d (\u03b1 \u2212 \u03b2 d) by least squares; KL = log n \u2212 (n \u2212 1)/n, an upper bound where responses tie.",
      },
    )}</div>
${table(
  "Best of n by proxy",
  [
    { title: "proxy", heading: true, cell: ({ name }) => name },
    { title: "\u03b1", numeric: true, cell: ({ fit }) => fit && number(fit.curve.alpha) },
    { title: "\u03b2", numeric: true, cell: ({ fit }) => fit && number(fit.curve.beta) },
    { title: "R\u00b2", numeric: true, cell: ({ fit }) => fit?.curve.r2.toFixed(2) },
    { title: "peak d*", numeric: true, cell: highestText },
  ],
  sampled,
)}
<details><summary>All figures</summary>${table(
      "Best of n",
      [
        { title: "proxy", heading: true, cell: ({ name }) => name },
        { title: "n", numeric: true, cell: ({ n }) => n },
        { title: "KL, nats", numeric: true, cell: ({ kl }) => number(kl) },
        {
          title: "proxy reward",
          numeric: true,
          cell: ({ proxy }) => `${score(proxy.mean)} (${score(proxy.low)} to ${score(proxy.high)})`,
        },
        {
          title: "gold reward",
          numeric: true,
          cell: ({ gold }) => gold && `${score(gold.mean)} (${score(gold.low)} to ${score(gold.high)})`,
        },
      ],
      rows,
    )}</details>`,
  };
}

function ways({ ways: all }: OveroptFigures): PageSection | undefined {
  if (!all) return undefined;
  return {
    id: "ways",
    title: "What moves the peak",
    content: html`<p>Best of n by reward models that differ in one thing, each beside the first: from the same samples, the same prompts and
seeds drawn again and again. An effect is shown where an interval leaves 0 out.</p>
${table<WayFigures>(
  "Ways to make a reward model",
  [
    { title: "reward model", heading: true, cell: ({ name }) => name },
    { title: "seeds", numeric: true, cell: ({ seeds }) => seeds },
    { title: "peak d*", numeric: true, cell: ({ peak }) => peakText(peak, score) },
    { title: "best gold", numeric: true, cell: ({ best }) => `${score(best.gold)} at n = ${best.n}` },
    { title: "gold at the largest n", numeric: true, cell: ({ end }) => rangeText(end) },
    {
      title: "peak beside the first",
      numeric: true,
      cell: ({ change }) => change && (change.peak ? changeText(change.peak, signedScore) : noShift),
    },
    {
      title: "best gold",
      numeric: true,
      cell: ({ change }) => change && changeText(change.best, signedScore),
    },
    {
      title: "at the largest n",
      numeric: true,
      cell: ({ change }) => change && changeText(change.end, signedScore),
    },
    { title: "the peak moves", cell: ({ change }) => change?.moves },
  ],
  all,
)}`,
  };
}

function drift({ groups, start }: OveroptFigures): PageSection | undefined {
  if (groups.length === 0) return undefined;
  const plots = (Object.entries(driftSignals) as [DriftSignal, string][]).flatMap(([signal, name]) => {
    const first = start.drift[signal];
    const lines = groups.map(({ points }, i) => ({
      colour: colour(i),
      points: [
        ...(first === undefined ? [] : [[0, first] as const]),
        ...bySteps(points, ({ drift: of }) => of[signal]),
      ],
    }));
    if (lines.every(({ points }) => points.length < 2)) return [];
    return [
      figure(
        name.charAt(0).toUpperCase() + name.slice(1),
        chart({
          alt: `${name}: ${lines.map(({ points }, i) => `${groups[i]?.group} from ${number(points[0]?.[1] ?? 0)} to ${number(points.at(-1)?.[1] ?? 0)}`).join("; ")}`,
          x: { label: rootOfKl, zero: true },
          y: { nice: true },
          marks: [
            ...grid(),
            ...lines.map(({ points, colour: stroke }) =>
              Plot.line(points, { x: "0", y: "1", stroke, strokeWidth: 1.6 }),
            ),
          ],
        }),
      ),
    ];
  });
  return {
    id: "drift",
    title: "Drift",
    content: html`<p>What changes in the responses, whatever they are worth: a policy that games its reward tends to write longer, to
repeat itself, and to give one answer to everything. Means over the seeds, in the order of training: a line turns where
the policy came back towards the reference, which is at 0.</p>
<p class="legend">${groups.map(({ group }, i) => html`<span class="key" style="--key: ${colour(i)}">${group}</span>`)}</p>
<div class="figures">${plots}</div>`,
  };
}

function gaps({ gaps: rows }: OveroptFigures): PageSection | undefined {
  if (rows.length === 0) return undefined;
  return {
    id: "gaps",
    title: "Where proxy and gold are farthest apart",
    content: html`<p>The responses that the proxy overrates most. The gap is the proxy's score less the gold one, each in standard deviations
(sd) from the mean of the reference's responses.</p>
${table(
  "Widest gaps",
  [
    {
      title: "prompt",
      prose: true,
      cell: ({ prompt }) => (prompt.length > 400 ? `\u2026${prompt.slice(-400)}` : prompt),
    },
    { title: "response", prose: true, cell: ({ completion }) => completion.trim() },
    { title: "proxy", numeric: true, cell: ({ proxy }) => score(proxy) },
    { title: "gold", numeric: true, cell: ({ gold }) => score(gold) },
    { title: "gap", numeric: true, cell: ({ gap }) => `${gap.toFixed(1)} sd` },
    { title: "from", cell: ({ group, seed, step }) => `${group}, seed ${seed}, step ${step}` },
  ],
  rows,
)}`,
  };
}
