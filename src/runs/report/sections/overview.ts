/** The run in a sentence and four numbers, for whoever reads no further. */
import { duration, hundredths, inWords, list, number, percent, score } from "../format.ts";
import { html } from "../html.ts";
import type { RunData } from "../run-data.ts";
import type { Section } from "../section.ts";
import { type Tile, tiles } from "../tiles.ts";
import { evaluatedStages } from "./evaluation.ts";

/** It stands below the title, without a heading of its own. */
export const overview: Section = {
  id: "overview",
  title: "Overview",
  render(data) {
    const entries = tilesOf(data);
    return html`<p class="lead">${sentence(data)}</p>${entries.length > 0 && tiles(entries)}`;
  },
};

/** The stage with the highest reward, and the one that it is compared with. */
function bestOf(data: RunData) {
  const rewarded = evaluatedStages(data).flatMap(({ name, evaluation }) =>
    evaluation.reward ? [{ name, evaluation, reward: evaluation.reward.overall }] : [],
  );
  const best = rewarded.reduce<(typeof rewarded)[number] | undefined>(
    (top, stage) => (top && top.reward.mean >= stage.reward.mean ? top : stage),
    undefined,
  );
  const against = rewarded.find(({ name }) => name === best?.evaluation.win_rate?.against);
  return { best, before: against ?? rewarded.find(({ name }) => name !== best?.name) };
}

function sentence(data: RunData): string {
  const { stages, run } = data;
  const names = list(stages.map(({ name }) => name));
  const took = run.seconds === undefined ? "" : ` in ${duration(run.seconds)}`;
  const ran = `${stages.length === 1 ? `One stage, ${names},` : `${capital(inLetters(stages.length))} stages, ${names},`} ran${took}.`;
  const open = [
    ...stages.flatMap(({ name, status = "done" }) =>
      status === "done" ? [] : [`${name} ${states[status] ?? `is ${status}`}`],
    ),
    ...run.stages
      .filter((name) => !stages.some((stage) => stage.name === name))
      .map((name) => `${name} has not begun`),
  ];
  const state = open.length > 0 ? ` Not done: ${open.join(", ")}.` : "";
  const { best, before } = bestOf(data);
  if (!best) return ran + state;
  const { win_rate: win, kl, prompts } = best.evaluation;
  const on = prompts === undefined ? "" : ` on ${prompts} held-out prompts`;
  const from = before
    ? `, ${before.reward.mean <= best.reward.mean ? "up from" : "against"} ${score(before.reward.mean)} for ${before.name}`
    : "";
  const wins = win
    ? ` It wins ${inWords({ ...win, mean: win.rate }, hundredths, " %")} of the comparisons with ${win.against}`
    : "";
  const unsure =
    win && win.low <= 0.5 && win.high >= 0.5
      ? ` So many prompts do not tell the two apart: an even chance lies within the interval.`
      : "";
  const moved = kl
    ? `${wins ? ", at" : " It stands at"} a KL of ${number(kl.value)} ${kl.unit} from ${kl.against}`
    : "";
  return `${ran}${state} The best model, ${best.name}, reaches a reward of ${inWords(best.reward)}${on}${from}.${wins}${moved}${wins || moved ? "." : ""}${unsure}`;
}

/** What a stage that is not done is said to do. */
const states: Readonly<Record<string, string>> = {
  running: "is running, or was killed",
  stopped: "was stopped",
  failed: "failed",
};

const inLetters = (n: number): string =>
  ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"][n] ?? String(n);
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function tilesOf(data: RunData): Tile[] {
  const { best, before } = bestOf(data);
  const { win_rate: win, kl } = best?.evaluation ?? {};
  const rewardModel = data.stages.find((stage) => stage.reward_model)?.reward_model;
  return [
    ...(best
      ? [
          {
            name: "held-out reward",
            value: score(best.reward.mean),
            note: `${best.name}${before ? `; ${before.name} ${score(before.reward.mean)}` : ""}`,
          },
        ]
      : []),
    ...(best && win
      ? [{ name: "win rate", value: percent(win.rate), note: `${best.name} over ${win.against}` }]
      : []),
    ...(best && kl ? [{ name: "KL from the reference", value: number(kl.value), note: kl.unit }] : []),
    ...(rewardModel
      ? [{ name: "reward model accuracy", value: percent(rewardModel.accuracy), note: "on held-out pairs" }]
      : []),
    ...(data.run.seconds === undefined
      ? []
      : [{ name: "time", value: duration(data.run.seconds), note: coresOf(data) }]),
  ];
}

const coresOf = ({ run: { machine } }: RunData): string | undefined =>
  machine?.cores === undefined ? undefined : `on ${machine.cores} cores`;
