/**
 * Can the reward model be trusted? Its accuracy on held-out pairs, whether it is as sure as it is right (reliability,
 * expected calibration error: Guo et al. 2017, eq. 3), where it is wrong, and what else it reads off a response.
 */
import * as Plot from "@observablehq/plot";
import { axisY, chart, colourOf, figure, grid, rules } from "../charts.ts";
import { count, percent, score } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { RunData } from "../run-data.ts";
import type { RewardModelFigures } from "../schema.ts";
import type { Section } from "../section.ts";
import { stageName } from "../stage-name.ts";
import { tiles } from "../tiles.ts";

export const rewardModel: Section = {
  id: "reward-model",
  title: "The reward model",
  render({ stages }: RunData) {
    const parts = stages.flatMap((stage) =>
      stage.reward_model ? [{ stage, figures: stage.reward_model }] : [],
    );
    if (parts.length === 0) return undefined;
    return html`<p>It learned from comparisons which answer people prefer, and speaks for them while a policy trains. Can it be
trusted? All figures are of pairs that it has not seen.</p>
${parts.map(
  ({ stage, figures }) =>
    html`<section class="group"><h3>${stageName(stage)}</h3>${describe(figures, colourOf(stage.colour))}</section>`,
)}`;
  },
};

function describe(figures: RewardModelFigures, colour: string): Html {
  const { accuracy, pairs, calibration, length_correlation: length } = figures;
  return html`${tiles([
    { name: "accuracy on held-out pairs", value: percent(accuracy), note: `${count(pairs)} pairs` },
    { name: "calibration error (ECE)", value: score(calibration.ece), note: "0 is perfect" },
    ...(typeof length === "number"
      ? [{ name: "correlation with length", value: score(length, true), note: "of score and tokens" }]
      : []),
  ])}
<div class="figures">${reliability(figures, colour)}${byMargin(figures, colour)}${byLevel(figures, colour)}</div>`;
}

function reliability({ calibration }: RewardModelFigures, colour: string): Html | undefined {
  const bins = calibration.bins.filter(
    (bin) => bin.count > 0 && typeof bin.predicted === "number" && typeof bin.observed === "number",
  );
  if (bins.length === 0) return undefined;
  // Of a pair either side may be taken: below one half nothing new is seen.
  const start = Math.min(0.5, ...bins.map(({ low }) => low));
  const alt = `Reliability: ${bins
    .map(({ predicted, observed }) => `predicted ${percent(predicted ?? 0)}, right ${percent(observed ?? 0)}`)
    .join("; ")}`;
  // What is observed may be less than chance, however sure the model is.
  const lowest = Math.min(start, ...bins.map(({ observed }) => Math.floor(10 * (observed ?? 1)) / 10));
  return figure(
    "Reliability",
    chart({
      alt,
      height: 260,
      marginRight: 18,
      x: { domain: [start, 1], label: "predicted" },
      y: { domain: [lowest, 1], label: "observed" },
      r: { range: [0, 9] },
      marks: [
        ...grid({ tickFormat: "%" }),
        Plot.line(
          [
            [start, start],
            [1, 1],
          ],
          { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "3,4" },
        ),
        Plot.line(bins, { x: "predicted", y: "observed", stroke: colour, strokeWidth: 1.5 }),
        Plot.dot(bins, {
          x: "predicted",
          y: "observed",
          r: "count",
          fill: colour,
          fillOpacity: 0.75,
          stroke: "var(--card)",
        }),
      ],
    }),
    {
      note: "How often the model prefers what people prefer, by how sure it is. Larger dots hold more pairs; on the dashed line it is calibrated.",
    },
  );
}

function byMargin({ accuracy_by_margin: bins = [] }: RewardModelFigures, colour: string): Html | undefined {
  const rows = bins
    .filter((bin) => bin.count > 0 && typeof bin.accuracy === "number")
    .map((bin) => ({ ...bin, name: range(bin), text: count(bin.count) }));
  if (rows.length === 0) return undefined;
  return figure(
    "Accuracy by margin",
    chart({
      alt: `Accuracy by margin: ${rows.map(({ name, accuracy }) => `${name}: ${percent(accuracy ?? 0)}`).join("; ")}`,
      height: 260,
      marginTop: 20,
      x: { label: "margin between the scores", domain: rows.map(({ name }) => name) },
      y: { domain: [0, 1] },
      marks: [
        rules(),
        Plot.barY(rows, {
          x: "name",
          y: "accuracy",
          fill: colour,
          fillOpacity: 0.8,
          insetLeft: 3,
          insetRight: 3,
        }),
        Plot.text(rows, { x: "name", y: "accuracy", text: "text", dy: -8 }),
        Plot.ruleY([0.5], { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "3,4" }),
        Plot.axisX({ tickSize: 0, labelArrow: "none", fontSize: 10 }),
        axisY({ tickFormat: "%" }),
      ],
    }),
    {
      note: "Accuracy on pairs by how far apart the two scores are; above each bar its number of pairs, dashed: chance.",
    },
  );
}

/** "0.5-1", "4+". */
const range = ({ low, high }: { low: number; high: number | null }): string => {
  const short = (value: number) => String(Number(value.toFixed(value < 1 ? 2 : 1)));
  return high === null ? `${short(low)}+` : `${short(low)}\u2013${short(high)}`;
};

function byLevel({ score_by_level: levels = {} }: RewardModelFigures, colour: string): Html | undefined {
  const rows = Object.entries(levels)
    .map(([level, { mean, std, count: n }]) => ({ level, mean, low: mean - std, high: mean + std, n }))
    .sort((a, b) => a.mean - b.mean);
  if (rows.length < 2) return undefined;
  return figure(
    "Score by level of quality",
    chart({
      alt: `Mean score by level: ${rows.map(({ level, mean }) => `${level} ${score(mean)}`).join("; ")}`,
      height: 260,
      x: { label: "level of the response", domain: rows.map(({ level }) => level) },
      y: { nice: true },
      marks: [
        ...grid(),
        Plot.ruleX(rows, { x: "level", y1: "low", y2: "high", stroke: colour, strokeWidth: 2 }),
        Plot.dot(rows, { x: "level", y: "mean", fill: colour, r: 5 }),
      ],
    }),
    { note: "Mean score of responses whose quality is known, with one standard deviation to each side." },
  );
}
