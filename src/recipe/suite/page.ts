/** The page of a suite: its figures as tables and pictures, in the look of the runs' report; nothing is fetched. */
import * as Plot from "@observablehq/plot";
import { axisY, chart, colourOf, figure, rules } from "../../runs/report/charts.ts";
import {
  count,
  hundredths,
  inWords,
  number,
  percent,
  score,
  withInterval,
} from "../../runs/report/format.ts";
import { type Html, html, trusted } from "../../runs/report/html.ts";
import { style } from "../../runs/report/style.ts";
import { type Column, table } from "../../runs/report/table.ts";
import { tiles } from "../../runs/report/tiles.ts";
import type { ModelFigures, PairFigures, SuiteResult } from "./result.ts";

interface Part {
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

/** The page as HTML text. */
export function suitePage(result: SuiteResult): string {
  const parts = [models, leaderboard, rewards, answers].flatMap((part) => part(result) ?? []);
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${result.name}: a suite of measures</title>
<style>${trusted(style)}</style>
</head>
<body>
<header class="top"><p class="brand">Attune <span>suite</span></p><h1>${result.name}</h1>
${summary(result)}
<nav aria-label="Sections"><ul>${parts.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav></header>
<main>
${parts.map(({ id, title, content }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>\n${content}</section>\n`)}</main>
<footer><p>Written by Attune ${result.attune}; every figure is in suite.json beside this page. Intervals hold 95 % of what resampling gives; seed ${String(result.seed)}.</p></footer>
</body>
</html>
`.html;
}

function summary({ models, prompts, baseline, gold, leaderboard }: SuiteResult): Html {
  const best = leaderboard?.bradley_terry[0];
  return tiles([
    { name: "models", value: count(models.length), note: `compared with ${baseline}` },
    ...(prompts > 0 ? [{ name: "prompts", value: count(prompts), note: "the same for every model" }] : []),
    ...(best ? [{ name: "first by rating", value: best.player, note: `by ${gold ?? ""}` }] : []),
  ]);
}

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

function models({ models: rows, baseline }: SuiteResult): Part {
  const names = [...new Set(rows.flatMap(({ reward }) => Object.keys(reward ?? {})))];
  const variants = [...new Set(rows.flatMap(({ rouge }) => Object.keys(rouge ?? {})))];
  const heading: Column<ModelFigures> = { title: "model", cell: ({ name }) => name, heading: true };
  const quality: Column<ModelFigures>[] = [
    heading,
    ...names.map(
      (name): Column<ModelFigures> => ({
        title: name,
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
    content: html`${isThere(quality) && table("How good the answers are", quality, rows)}
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

function leaderboard({ leaderboard: board, gold, models: order }: SuiteResult): Part | undefined {
  if (!board) return undefined;
  const colour = (name: string) => colourOf(1 + order.findIndex((row) => row.name === name));
  const elos = new Map(board.elo.map(({ player, rating }) => [player, rating]));
  type Row = (typeof board.bradley_terry)[number];
  const columns: Column<Row>[] = [
    { title: "model", cell: ({ player }) => player, heading: true },
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
<div class="figures">${whiskers(
      "Bradley-Terry ratings",
      board.bradley_terry.map(({ player: name, rating: mean, low, high }) => ({
        name,
        mean,
        low,
        high,
        colour: colour(name),
      })),
      "with 95 % intervals over games",
    )}</div>`,
  };
}

function rewards({ alignment, pairs = [], gold }: SuiteResult): Part | undefined {
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
      html`<p>How far each reward stands for ${gold ?? "the first one"}, over the answers of all models.</p>${table("Alignment", alignedColumns, aligned)}`
    }${pairs.length > 0 && html`<h3>On pairs</h3><p>The calibration error takes margins for log-odds, which those of reward models are.</p>${table("Accuracy on pairs", pairColumns, pairs)}`}`,
  };
}

function answers({ answers: rows, models: order }: SuiteResult): Part | undefined {
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
          html`<div class="answer"><h4>${model}${value !== undefined && html`<span class="score" style="--share: ${shade(value)}%">${score(value)}</span>`}</h4><div class="text" dir="auto">${
            completion.trim() === "" ? html`<em>nothing</em>` : completion.trim().slice(0, 1_500)
          }</div></div>`,
      )}</div></article>\n`;
    })}`,
  };
}
