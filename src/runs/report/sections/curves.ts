/** How training went: curves of metrics.jsonl, a group of plots a stage. */
import { colourOf, lines, type Point, type Series } from "../charts.ts";
import { count } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { StageData } from "../run-data.ts";
import type { Section } from "../section.ts";
import { stageName } from "../stage-name.ts";
import { samples } from "./samples.ts";

interface Curve {
  readonly title: string;
  readonly unit?: string;
  /** How it is read. */
  readonly note?: string;
  /** Metrics in TRL's names, and what the legend calls them; a plot appears when one of them was logged. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Nothing is seen of what stays the same. */
  readonly ifVaried?: boolean;
}

const far =
  "How far the policy has gone. It should level off; where it runs away, a larger KL coefficient holds it.";

const curves: readonly Curve[] = [
  { title: "Loss", metrics: { loss: "training", eval_loss: "held out" } },
  {
    title: "Reward",
    metrics: { "objective/scores": "score", "objective/rlhf_reward": "less the KL penalty", reward: "score" },
    note: "What the reward gives to the sampled responses. It may rise while the answers get worse: the table above has the held-out measure.",
  },
  {
    title: "KL from the reference",
    unit: "nats, summed over the response",
    metrics: { "objective/kl": "KL" },
    note: far,
  },
  { title: "KL from the reference", unit: "nats per token", metrics: { kl: "KL" }, note: far },
  {
    title: "Entropy",
    unit: "nats per token",
    metrics: { "policy/entropy_avg": "policy", entropy: "policy" },
  },
  {
    title: "Entropy of the responses",
    unit: "nats, summed over the response",
    metrics: { "objective/entropy": "sampled" },
    note: "It falls as the policy makes up its mind. Near 0 it says the same each time.",
  },
  {
    title: "Policy loss",
    metrics: { "loss/policy_avg": "policy" },
    note: "Advantages have mean 0, and so has this. It is no measure of progress.",
  },
  {
    title: "Value loss",
    metrics: { "loss/value_avg": "value" },
    note: "How far the critic's forecast is from what came.",
  },
  {
    title: "Share clipped",
    unit: "of the tokens",
    metrics: { "policy/clipfrac_avg": "policy", "val/clipfrac_avg": "value" },
    note: "Tokens that had gone as far as one update may take them.",
  },
  {
    title: "Accuracy on pairs",
    unit: "share of the pairs; chance is 0.5",
    metrics: {
      accuracy: "training",
      eval_accuracy: "held out",
      "rewards/accuracies": "training",
      "eval_rewards/accuracies": "held out",
    },
  },
  {
    title: "Margin of the chosen response",
    metrics: {
      margin: "training",
      eval_margin: "held out",
      "rewards/margins": "training",
      "eval_rewards/margins": "held out",
    },
    note: "Its score less that of the rejected one.",
  },
  {
    title: "Implicit reward",
    metrics: { "rewards/chosen": "chosen", "rewards/rejected": "rejected" },
    note: "\u03b2 times the log-ratio to the reference: what this model takes for a reward.",
  },
  {
    title: "Log-probability of the responses",
    unit: "nats, summed over the response",
    metrics: { "logps/chosen": "chosen", "logps/rejected": "rejected" },
    note: "Both may fall while the margin grows; a chosen one that falls far is a warning.",
  },
  {
    title: "Token accuracy",
    unit: "share of the labels",
    metrics: { mean_token_accuracy: "training", eval_mean_token_accuracy: "held out" },
  },
  { title: "Length of responses", unit: "tokens", metrics: { "completions/mean_length": "mean" } },
  {
    title: "Gradient norm",
    unit: "before clipping",
    metrics: { grad_norm: "before clipping", "policy/grad_norm": "policy", "val/grad_norm": "critic" },
  },
  {
    title: "KL from the policy before",
    unit: "nats per token",
    metrics: { "policy/approxkl_avg": "in an update" },
    note: "What the updates of one step change; a jump says that the steps are too large.",
  },
  { title: "KL coefficient", metrics: { "objective/kl_coef": "coefficient" }, ifVaried: true },
];

export const curvesSection: Section = {
  id: "training",
  title: "How training went",
  render({ stages }) {
    const groups = stages.map(stageCurves).filter((group) => group !== undefined);
    return groups.length === 0
      ? undefined
      : html`<p>One group a stage. Faint: every step; strong: the running mean; rings: held-out data.</p>
${groups}`;
  },
};

function stageCurves(stage: StageData): Html | undefined {
  const plots = curves.map((curve) => plot(curve, stage)).filter((drawn) => drawn !== undefined);
  if (plots.length === 0) return undefined;
  const { best, steps } = stage;
  const facts = [
    stage.trainer,
    steps !== undefined && `${count(steps)} steps`,
    best && `best at step ${count(best.step)}`,
  ].filter((fact) => typeof fact === "string");
  return html`<section class="group"><h3>${stageName(stage)} <small>${facts.join(", ")}</small></h3>
<div class="figures">${plots}</div>${samples(stage)}</section>\n`;
}

function plot(
  { title, unit, note, metrics, ifVaried = false }: Curve,
  { metrics_log, colour }: StageData,
): Html | undefined {
  const series: Series[] = [];
  for (const [metric, name] of Object.entries(metrics)) {
    const points = metrics_log.flatMap((line): Point[] => {
      const value = line[metric];
      return typeof value === "number" ? [[line.step, value]] : [];
    });
    if (points.length < 2 || (ifVaried && points.every(([, y]) => y === points[0]?.[1]))) continue;
    const second = series.length > 0;
    series.push({
      name,
      points,
      colour: second ? "var(--second)" : colourOf(colour),
      dots: metric.startsWith("eval_"),
    });
  }
  if (series.length === 0) return undefined;
  return lines(title, series, { ...(unit !== undefined && { unit }), ...(note !== undefined && { note }) });
}
