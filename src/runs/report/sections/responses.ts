/** What the models say: the responses of every stage to the same prompts, side by side, with their scores. */
import { count, score } from "../format.ts";
import { type Html, html, trusted } from "../html.ts";
import type { RunData, StageData } from "../run-data.ts";
import type { Response } from "../schema.ts";
import type { Section } from "../section.ts";
import { stageName } from "../stage-name.ts";

/** Prompts on the page; the rest stays in responses.jsonl. */
const maxPrompts = 48;

/** Prompts on paper, see the style. */
const onPaper = 12;

/** Characters of a response on the page. */
const maxLength = 2_000;

interface Answer {
  readonly stage: StageData;
  readonly response: Response;
}

interface Exchange {
  readonly prompt: string;
  readonly kind?: string;
  readonly answers: readonly Answer[];
}

export const responses: Section = {
  id: "responses",
  title: "What the models say",
  render(data) {
    const all = exchangesOf(data);
    if (all.length === 0) return undefined;
    const shown = spread(all, maxPrompts);
    const kinds = [...new Set(shown.map(({ kind }) => kind).filter((kind) => kind !== undefined))];
    const shade = shadeOf(all);
    return html`<p>${
      shown.length < all.length
        ? `${count(shown.length)} of ${count(all.length)} prompts, of every kind; all of them are in stages/*/responses.jsonl.`
        : `All ${count(all.length)} prompts.`
    } Beside a score stands what it gained or lost against the stage that its model started from.${
      shown.length > onPaper && html`<span class="on-paper"> On paper the first ${onPaper} are shown.</span>`
    }</p>
${controls(kinds)}<div class="exchanges">${shown.map((exchange) => article(exchange, shade))}</div>`;
  },
};

/** Prompts that at least one stage answered, in the order of the first one. */
function exchangesOf({ stages }: RunData): Exchange[] {
  const exchanges = new Map<string, { prompt: string; kind?: string; answers: Answer[] }>();
  for (const stage of stages) {
    const seen = new Map<string, number>();
    for (const response of stage.responses) {
      const repeat = seen.get(response.prompt) ?? 0; // a prompt may stand there twice
      seen.set(response.prompt, repeat + 1);
      const key = `${repeat} ${response.prompt}`;
      const { prompt, kind } = response;
      const exchange = exchanges.get(key) ?? { prompt, ...(kind !== undefined && { kind }), answers: [] };
      exchange.answers.push({ stage, response });
      exchanges.set(key, exchange);
    }
  }
  return [...exchanges.values()];
}

/** The first few of every kind, in the order in which they stand. */
function spread(all: readonly Exchange[], most: number): Exchange[] {
  const turns = new Map<string | undefined, number>();
  const ranked = all.map((exchange, place) => {
    const turn = turns.get(exchange.kind) ?? 0;
    turns.set(exchange.kind, turn + 1);
    return { exchange, place, turn };
  });
  return ranked
    .sort((a, b) => a.turn - b.turn || a.place - b.place)
    .slice(0, most)
    .map(({ exchange }) => exchange);
}

const overall = ({ scores }: Response): number | undefined => {
  const value = scores?.overall;
  return typeof value === "number" ? value : undefined;
};

/** Where a score lies among all of them, from 0 to 100; a twentieth at each end is cut off. */
function shadeOf(all: readonly Exchange[]): (value: number) => number {
  const scores = all
    .flatMap(({ answers }) => answers.map(({ response }) => overall(response)))
    .filter((value) => value !== undefined)
    .sort((a, b) => a - b);
  const low = scores[Math.floor(scores.length * 0.05)] ?? 0;
  const high = scores[Math.ceil(scores.length * 0.95) - 1] ?? 1;
  return (value) =>
    Math.round(100 * Math.min(1, Math.max(0, high > low ? (value - low) / (high - low) : 0.5)));
}

/** How much the last answer gained on the first one, for sorting. */
function gain({ answers }: Exchange): number | undefined {
  const scores = answers.map(({ response }) => overall(response)).filter((value) => value !== undefined);
  const [first, last] = [scores[0], scores.at(-1)];
  return first === undefined || last === undefined || scores.length < 2 ? undefined : last - first;
}

function article(exchange: Exchange, shade: (value: number) => number): Html {
  const { prompt, kind, answers } = exchange;
  const gained = gain(exchange);
  return html`<article data-kind="${kind ?? ""}"${gained !== undefined && html` data-gain="${gained.toFixed(4)}"`}>
<header><h3 dir="auto">${shortened(prompt)}</h3>${kind !== undefined && html`<span class="kind">${kind}</span>`}</header>
<div class="answers" style="--columns: ${answers.length}">${answers.map((answer, i) =>
    column(answer, originOf(answer, answers.slice(0, i)), shade),
  )}</div></article>\n`;
}

/** The answer of the stage that this one is compared with: the one it started from, else the one before. */
function originOf({ stage }: Answer, earlier: readonly Answer[]): Answer | undefined {
  const names = [stage.model?.from, stage.evaluation?.win_rate?.against];
  return earlier.find((answer) => names.includes(answer.stage.name)) ?? earlier.at(-1);
}

function column(
  { stage, response }: Answer,
  before: Answer | undefined,
  shade: (value: number) => number,
): Html {
  const { completion, tokens, terminated } = response;
  const value = overall(response);
  const previous = before && overall(before.response);
  const axes = Object.entries(response.scores ?? {}).filter(
    (entry): entry is [string, number] => entry[0] !== "overall" && entry[1] !== null,
  );
  const facts = [
    ...axes.map(([axis, x]) => `${axis} ${score(x)}`),
    ...(tokens === undefined ? [] : [`${count(tokens)} tokens`]),
    ...(terminated === false ? ["cut off"] : []),
  ];
  return html`<div class="answer"><h4>${stageName(stage)}${
    value !== undefined &&
    html`<span class="score" style="--share: ${shade(value)}%">${score(value)}</span>${previous !== undefined && difference(value - previous)}`
  }</h4><div class="text" dir="auto">${
    completion.trim() === "" ? html`<em>nothing</em>` : shortened(completion.replace(/^\s+/, ""))
  }</div>${facts.length > 0 && html`<p class="facts">${facts.map((fact) => html`<span>${fact}</span> `)}</p>`}</div>`;
}

function difference(by: number): Html {
  const [kind, sign, word] =
    Math.abs(by) < 0.005
      ? ["same", "=", "as before"]
      : by > 0
        ? ["up", "▲", "up by"]
        : ["down", "▼", "down by"];
  const size = kind === "same" ? "" : score(Math.abs(by));
  return html`<span class="gain ${kind}"><span aria-hidden="true">${sign}</span><span class="unseen">${word}</span> ${size}</span>`;
}

const shortened = (text: string): string =>
  text.length <= maxLength
    ? text
    : `${text.slice(0, maxLength)} … (${count(text.length - maxLength)} more characters)`;

/** Hidden until the script below finds that it runs. */
function controls(kinds: readonly string[]): Html {
  return html`<form class="controls" hidden aria-label="Which prompts are shown">
${kinds.length > 1 && html`<label>kind <select name="kind"><option value="">every kind</option>${kinds.map((kind) => html`<option>${kind}</option>`)}</select></label>`}
<label>order <select name="order"><option value="">as they stand</option><option value="1">most gained first</option><option value="-1">most lost first</option></select></label>
<output aria-live="polite"></output></form>`;
}

/** Shows, hides and sorts what is there; without it every prompt is shown. */
export const script = trusted(`
const form = document.querySelector(".controls");
if (form) {
  const list = document.querySelector(".exchanges");
  const articles = [...list.children];
  const update = () => {
    const kind = form.elements.kind?.value ?? "";
    const order = Number(form.elements.order.value);
    const gain = (article) => Number(article.dataset.gain ?? 0) * order;
    const sorted = order ? [...articles].sort((a, b) => gain(b) - gain(a)) : articles;
    list.append(...sorted);
    for (const article of articles) article.hidden = kind !== "" && article.dataset.kind !== kind;
    const shown = articles.filter((article) => !article.hidden).length;
    form.querySelector("output").textContent = shown + (shown === 1 ? " prompt" : " prompts");
  };
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}`);
