/** The page of a suite: its figures as tables and pictures, in the look of the runs' report; nothing is fetched. */
import * as Plot from "@observablehq/plot";
import { axisY, chart, colourOf, figure, rules } from "../../runs/report/charts.ts";
import {
  count,
  hundredths,
  inWords,
  list,
  number,
  percent,
  score,
  withInterval,
} from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import { document, type PageSection } from "../../runs/report/shell.ts";
import { stageName } from "../../runs/report/stage-name.ts";
import { type Column, table } from "../../runs/report/table.ts";
import { tiles } from "../../runs/report/tiles.ts";
import type { ModelFigures, PairFigures, SuiteResult } from "./result.ts";

/** The page as HTML text. */
export function suitePage(result: SuiteResult): string {
  return document({
    title: `${result.name}: a suite of measures`,
    brand: "suite",
    heading: result.name,
    lead: summary(result),
    sections: [models, leaderboard, rewards, answers].flatMap((part) => part(result) ?? []),
    footer: html`<p>Written by Attune ${result.attune}; every figure is in <code>suite.json</code> beside this page. Intervals hold
95 % of what resampling gives; seed ${String(result.seed)}.</p>`,
  });
}

function summary({ models, prompts, baseline, gold, leaderboard }: SuiteResult): Html {
  const best = leaderboard?.bradley_terry[0];
  const own = models.find(({ name }) => name === best?.player);
  const wins = own?.win_rate && inWords({ ...own.win_rate, mean: own.win_rate.rate }, hundredths, " %");
  const verdict = !best
    ? `${list(models.map(({ name }) => name))}, measured beside each other.`
    : `Of ${count(models.length)} models ${best.player} comes first by ${gold ?? "the first reward"}${
        wins ? `: it wins ${wins} of the comparisons with ${baseline}` : ""
      }.`;
  return html`<p class="lead">${verdict}</p>${tiles([
    { name: "models", value: count(models.length), note: `compared with ${baseline}` },
    ...(prompts > 0 ? [{ name: "prompts", value: count(prompts), note: "the same for every model" }] : []),
    ...(best ? [{ name: "first by rating", value: best.player, note: `by ${gold ?? ""}` }] : []),
  ])}`;
}

const colourIn = (order: readonly ModelFigures[], name: string): number =>
  order.findIndex((row) => row.name === name);

const amount = (
  title: string,
  value: (row: ModelFigures) => number | undefined,
  format: (value: number) => string = score,
): Column<ModelFigures> => ({
  title,
  numeric: true,
  cell: (row) => {
    const found = value(row);
    return found !== undefined && format(found);
  },
});

const rate = (found: { rate: number; low: number; high: number } | undefined) =>
  found && withInterval({ ...found, mean: found.rate }, hundredths, " %");

function models({ models: rows, baseline, prompts }: SuiteResult): PageSection {
  const names = [...new Set(rows.flatMap(({ reward }) => Object.keys(reward ?? {})))];
  const variants = [...new Set(rows.flatMap(({ rouge }) => Object.keys(rouge ?? {})))];
  const heading: Column<ModelFigures> = {
    title: "model",
    cell: ({ name }) => stageName({ name, colour: colourIn(rows, name) }),
    heading: true,
  };
  const quality: Column<ModelFigures>[] = [
    heading,
    ...names.map(
      (name): Column<ModelFigures> => ({
        title: html`${name} <span class="against">reward</span>`,
        numeric: true,
        cell: ({ reward }) => reward?.[name] && withInterval(reward[name]),
      }),
    ),
    { title: "win rate", numeric: true, cell: ({ win_rate }) => rate(win_rate) },
    {
      title: "win rate at equal length",
      numeric: true,
      cell: ({ length_controlled_win_rate: found }) => rate(found),
    },
    ...variants.map(
      (name): Column<ModelFigures> => ({
        title: name,
        numeric: true,
        cell: ({ rouge }) => rouge?.[name] && withInterval(rouge[name]),
      }),
    ),
    amount("perplexity", ({ perplexity }) => perplexity, number),
  ];
  const manner: Column<ModelFigures>[] = [
    heading,
    {
      title: html`KL(model, ${baseline}) <span class="against">nats per response</span>`,
      numeric: true,
      cell: ({ kl }) => kl && withInterval(kl.model_baseline, number),
    },
    {
      title: html`KL(${baseline}, model) <span class="against">nats per response</span>`,
      numeric: true,
      cell: ({ kl }) => kl && withInterval(kl.baseline_model, number),
    },
    {
      title: html`length <span class="against">tokens</span>`,
      numeric: true,
      cell: ({ length }) => length && withInterval(length, number),
    },
    amount("ended", ({ share_terminated }) => share_terminated, percent),
    amount("distinct-1", ({ distinct_1 }) => distinct_1),
    amount("distinct-2", ({ distinct_2 }) => distinct_2),
    amount("self-BLEU", ({ self_bleu }) => self_bleu),
    amount("repetition", ({ repetition }) => repetition),
  ];
  const isThere = (columns: readonly Column<ModelFigures>[]) =>
    columns.slice(1).some(({ cell }) => rows.some((row) => cell(row)));
  return {
    id: "models",
    title: "The models",
    content: html`${prompts > 0 && html`<p>Every model answers the same ${count(prompts)} prompts${rows.some(({ win_rate }) => win_rate) && `; wins are against ${baseline}, and a tie is half a win`}.</p>`}
${isThere(quality) && table("How good the answers are", quality, rows)}
${isThere(manner) && html`<h3>What the answers are like</h3>${table("What the answers are like", manner, rows)}`}`,
  };
}

interface Whisker {
  readonly name: string;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly colour: string;
}

/** Dots with their intervals, one a name. */
const whiskers = (title: string, data: readonly Whisker[], note: string): Html =>
  figure(
    title,
    chart({
      alt: `${title}: ${data.map((row) => `${row.name} ${inWords(row, number)}`).join(", ")}`,
      width: 540,
      height: 240,
      x: { domain: data.map(({ name }) => name), label: null, padding: 0.6 },
      y: { nice: true, inset: 8 },
      marks: [
        rules(),
        axisY(),
        Plot.axisX({ tickSize: 0, label: null }),
        Plot.ruleX(data, { x: "name", y1: "low", y2: "high", stroke: "colour", strokeWidth: 2 }),
        Plot.dot(data, { x: "name", y: "mean", fill: "colour", r: 4.5 }),
      ],
      color: { type: "identity" },
    }),
    { note },
  );

function leaderboard({ leaderboard: board, gold, models: order }: SuiteResult): PageSection | undefined {
  if (!board) return undefined;
  const colour = (name: string) => colourOf(colourIn(order, name));
  const elos = new Map(board.elo.map(({ player, rating }) => [player, rating]));
  type Row = (typeof board.bradley_terry)[number];
  const columns: Column<Row>[] = [
    {
      title: "model",
      cell: ({ player: name }) => stageName({ name, colour: colourIn(order, name) }),
      heading: true,
    },
    {
      title: "Bradley-Terry",
      numeric: true,
      cell: (row) => withInterval({ mean: row.rating, low: row.low, high: row.high }, (x) => count(x)),
    },
    { title: "Elo", numeric: true, cell: ({ player }) => count(elos.get(player) ?? Number.NaN) },
    { title: "games", numeric: true, cell: ({ games }) => count(games) },
    { title: "won", numeric: true, cell: (row) => percent(row.score) },
  ];
  return {
    id: "leaderboard",
    title: "Who beats whom",
    content: html`<p>Every two models meet once on each prompt; ${gold ?? "the first reward"} decides, and a tie is half a win.
Four hundred points are odds of ten to one.</p>
${table("Ratings", columns, board.bradley_terry)}
<div class="figures two">${whiskers(
      "Bradley-Terry ratings",
      board.bradley_terry.map(({ player: name, rating: mean, low, high }) => ({
        name,
        mean,
        low,
        high,
        colour: colour(name),
      })),
      "With 95 % intervals over games.",
    )}</div>`,
  };
}

function rewards({ alignment, pairs = [], gold }: SuiteResult): PageSection | undefined {
  const aligned = Object.entries(alignment ?? {});
  if (aligned.length === 0 && pairs.length === 0) return undefined;
  type Aligned = (typeof aligned)[number];
  const alignedColumns: Column<Aligned>[] = [
    { title: "reward", cell: ([name]) => name, heading: true },
    { title: "Spearman", numeric: true, cell: ([, row]) => withInterval(row.spearman) },
    { title: "Pearson", numeric: true, cell: ([, row]) => withInterval(row.pearson) },
    { title: "Kendall", numeric: true, cell: ([, row]) => score(row.kendall) },
    {
      title: "same order on a prompt",
      numeric: true,
      cell: ([, row]) =>
        row.agreement !== undefined && Number.isFinite(row.agreement) && percent(row.agreement),
    },
  ];
  const subsets = [...new Set(pairs.flatMap(({ accuracy }) => Object.keys(accuracy.subsets)))];
  const pairColumns: Column<PairFigures>[] = [
    { title: "reward", cell: ({ reward }) => reward, heading: true },
    { title: "pairs", cell: ({ file, pairs: n }) => `${file} (${count(n)})` },
    {
      title: "accuracy",
      numeric: true,
      cell: ({ accuracy: { overall } }) =>
        withInterval({ ...overall, mean: overall.accuracy }, hundredths, " %"),
    },
    { title: "calibration error", numeric: true, cell: ({ calibration }) => score(calibration.ece) },
    ...(subsets.length > 1
      ? subsets.map(
          (name): Column<PairFigures> => ({
            title: name,
            numeric: true,
            cell: ({ accuracy }) => accuracy.subsets[name] && percent(accuracy.subsets[name].accuracy),
          }),
        )
      : []),
  ];
  return {
    id: "rewards",
    title: "The rewards",
    content: html`${
      aligned.length > 0 &&
      html`<p>How far each reward stands for ${gold ?? "the first one"}, over the answers of all models: 1 is the same order, 0 no relation. In the last column,
two answers to one prompt.</p>${table("Alignment", alignedColumns, aligned)}`
    }${pairs.length > 0 && html`<h3>On pairs</h3><p>The calibration error takes margins for log-odds, which those of reward models are.</p>${table("Accuracy on pairs", pairColumns, pairs)}`}`,
  };
}

function answers({ answers: rows, models: order }: SuiteResult): PageSection | undefined {
  if (rows.length === 0) return undefined;
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
  const values = rows.flatMap(({ score: value }) => value ?? []).sort((a, b) => a - b);
  const [low, high] = [values[0] ?? 0, values.at(-1) ?? 1];
  const shade = (value: number) => Math.round(high > low ? (100 * (value - low)) / (high - low) : 50);
  return {
    id: "answers",
    title: "What they say",
    content: html`${prompts.map((prompt) => {
      const own = rows.filter((row) => row.prompt === prompt);
      return html`<article><header><h3 dir="auto">${prompt.slice(0, 600)}</h3></header><div class="answers" style="--columns: ${order.length}">${own.map(
        ({ model, completion, score: value }) =>
          html`<div class="answer"><h4>${stageName({ name: model, colour: colourIn(order, model) })}${value !== undefined && html`<span class="score" style="--share: ${shade(value)}%">${score(value)}</span>`}</h4><div class="text" dir="auto">${
            completion.trim() === "" ? html`<em>nothing</em>` : completion.trim().slice(0, 1_500)
          }</div></div>`,
      )}</div></article>\n`;
    })}`,
  };
}
