/** What came out: each stage's model on the same held-out prompts, as a table and as a picture of reward by axis. */
import * as Plot from "@observablehq/plot";
import { axisY, chart, colourOf, figure, rules } from "../charts.ts";
import { hundredths, inWords, number, percent, score, withInterval } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { RunData, StageData } from "../run-data.ts";
import type { Evaluation, Interval } from "../schema.ts";
import type { Section } from "../section.ts";
import { stageName } from "../stage-name.ts";
import { type Column, table } from "../table.ts";

export interface Evaluated extends StageData {
  readonly evaluation: Evaluation;
}

export const evaluatedStages = ({ stages }: RunData): Evaluated[] =>
  stages.filter((stage): stage is Evaluated => stage.evaluation !== undefined);

const axesOf = (stages: readonly Evaluated[]): string[] => [
  ...new Set(stages.flatMap(({ evaluation }) => Object.keys(evaluation.reward?.axes ?? {}))),
];

export const evaluation: Section = {
  id: "results",
  title: "What came out",
  render(data) {
    const stages = evaluatedStages(data);
    if (stages.length === 0) return undefined;
    const axes = axesOf(stages);
    const prompts = stages.find((stage) => stage.evaluation.prompts !== undefined)?.evaluation.prompts;
    const kinds = [...new Set(stages.flatMap((stage) => Object.keys(stage.evaluation.by_kind ?? {})))];
    return html`<p>Each model answered the same ${prompts !== undefined && `${prompts} `}held-out prompts. Intervals hold 95 % of
what resampling the prompts gives; a win counts the prompts on which a stage scores higher than the one it is compared with, ties half.</p>
${table("Measures of each stage's model", columns(stages, axes), stages)}
<div class="figures">${rewardByAxis(stages, axes)}${kinds.length > 1 && rewardByKind(stages, kinds)}</div>`;
  },
};

/** A short heading with what it means on hover, and its unit below. */
const heading = (name: string, meaning: string, unit = "") =>
  html`<abbr title="${meaning}">${name}</abbr>${unit !== "" && html` <span class="against">${unit}</span>`}`;

/** A column that shows one number of the evaluation, where it is there. */
const figureColumn = (
  title: Column<Evaluated>["title"],
  value: (evaluation: Evaluation) => number | undefined,
  format: (value: number) => string,
): Column<Evaluated> => ({
  title,
  numeric: true,
  cell: (stage) => {
    const found = value(stage.evaluation);
    return found !== undefined && format(found);
  },
});

function columns(stages: readonly Evaluated[], axes: readonly string[]): Column<Evaluated>[] {
  const unitOf = (part: "kl" | "length") =>
    stages.map(({ evaluation: e }) => e[part]?.unit).find((unit) => unit !== undefined) ?? "";
  return [
    { title: "stage", cell: (stage) => stageName(stage), heading: true },
    {
      title: "reward",
      numeric: true,
      cell: ({ evaluation: e }) => e.reward && withInterval(e.reward.overall),
    },
    ...axes.map((axis) => ({
      title: axis,
      numeric: true,
      cell: ({ evaluation: e }: Evaluated) => e.reward?.axes?.[axis] && withInterval(e.reward.axes[axis]),
    })),
    {
      title: "win rate",
      numeric: true,
      cell: ({ evaluation: { win_rate: w } }) =>
        w &&
        html`${withInterval({ ...w, mean: w.rate }, hundredths, " %")} <span class="against">over ${w.against}</span>`,
    },
    {
      title: heading("KL", "Kullback-Leibler divergence from the reference", unitOf("kl")),
      numeric: true,
      cell: ({ evaluation: { kl } }) =>
        kl &&
        html`${withInterval({ ...kl, mean: kl.value }, number)} <span class="against">from ${kl.against}</span>`,
    },
    figureColumn(heading("perplexity", "of the held-out text, per token"), (e) => e.perplexity, number),
    figureColumn(heading("length", "mean of the responses", unitOf("length")), (e) => e.length?.mean, number),
    figureColumn(
      heading("distinct-1", "different words, as a share of all words"),
      (e) => e.distinct_1,
      score,
    ),
    figureColumn(
      heading("distinct-2", "different pairs of words, as a share of all"),
      (e) => e.distinct_2,
      score,
    ),
    figureColumn(
      heading("ended", "responses that end with the end-of-text token"),
      (e) => e.share_terminated,
      percent,
    ),
  ];
}

interface Whisker extends Interval {
  readonly stage: string;
  readonly group: string;
  readonly colour: string;
}

/** Means with their intervals: one panel a group, one dot a stage. */
function whiskers(
  title: string,
  data: readonly Whisker[],
  stages: readonly Evaluated[],
  wide: boolean,
): Html {
  const groups = [...new Set(data.map(({ group }) => group))];
  const alt = `${title}: ${groups
    .map(
      (group) =>
        `${group}: ${data
          .filter((d) => d.group === group)
          .map((d) => `${d.stage} ${inWords(d)}`)
          .join(", ")}`,
    )
    .join("; ")}`;
  const place = { x: "stage", fx: "group", stroke: "colour" };
  return figure(
    title,
    chart({
      alt,
      width: wide ? 1100 : 540,
      height: 240,
      marginBottom: 8,
      marginTop: 28,
      marginRight: 4,
      x: { axis: null, domain: stages.map(({ name }) => name), padding: 0.6 },
      fx: { label: null, domain: groups, padding: 0.12 },
      y: { nice: true, inset: 8 },
      marks: [
        rules(),
        axisY(),
        Plot.axisFx({ anchor: "top", tickSize: 0, label: null }),
        Plot.ruleX(data, { ...place, y1: "low", y2: "high", strokeWidth: 2 }),
        Plot.dot(data, { ...place, y: "mean", fill: "colour", r: 4.5 }),
      ],
      color: { type: "identity" },
    }),
    { legend: stages.map(({ name, colour }) => ({ name, colour: colourOf(colour), dots: true })), wide },
  );
}

function rewardByAxis(stages: readonly Evaluated[], axes: readonly string[]): Html | undefined {
  const data = stages.flatMap(({ name: stage, colour, evaluation: { reward } }) =>
    reward === undefined
      ? []
      : [
          ["overall", reward.overall] as const,
          ...axes.map((axis) => [axis, reward.axes?.[axis]] as const),
        ].flatMap(([group, value]) => (value ? [{ stage, group, colour: colourOf(colour), ...value }] : [])),
  );
  return data.length === 0 ? undefined : whiskers("Reward by axis", data, stages, true);
}

function rewardByKind(stages: readonly Evaluated[], kinds: readonly string[]): Html | undefined {
  const data = stages.flatMap(({ name: stage, colour, evaluation: { by_kind } }) =>
    kinds.flatMap((group) => {
      const value = by_kind?.[group]?.overall;
      return value ? [{ stage, group, colour: colourOf(colour), ...value }] : [];
    }),
  );
  return whiskers("Reward by kind of prompt", data, stages, true);
}
