/**
 * Reward against the square root of the KL divergence from the reference, in which reward is about linear early in RL
 * (Bai et al. 2022, section 4.3): the course of each RL stage, and where the evaluated models stand.
 */
import * as Plot from "@observablehq/plot";
import { loggedKl } from "../../../evaluate/index.ts";
import { chart, colourOf, figure, grid, type Point, rootOfKl, thinned } from "../charts.ts";
import { number, score } from "../format.ts";
import { html } from "../html.ts";
import type { RunData } from "../run-data.ts";
import type { Section } from "../section.ts";
import { type Evaluated, evaluatedStages } from "./evaluation.ts";

/** Names under which a trainer logs its score. */
const scores = ["objective/scores", "reward"];

export const frontier: Section = {
  id: "frontier",
  title: "Reward against KL",
  render(data) {
    const courses = coursesOf(data);
    const models = modelsOf(evaluatedStages(data));
    if (courses.length === 0 && models.length < 2) return undefined;
    const alt = [
      ...courses.map(({ name, points }) => `${name} goes from ${at(points[0])} to ${at(points.at(-1))}`),
      ...models.map(({ name, kl, mean }) => `${name} scores ${score(mean)} at a KL of ${number(kl)}`),
    ].join("; ");
    const figures = [];
    if (courses.length > 0)
      figures.push(
        figure(
          "In training",
          chart({
            alt: `Reward against the square root of KL in training: ${alt}`,
            width: 540,
            height: 300,
            x: { label: rootOfKl, zero: true },
            y: { nice: true },
            marks: [
              ...grid(),
              ...courses.flatMap(({ points, colour }) => [
                Plot.dot(points, { x: "0", y: "1", r: 2, fill: colour, fillOpacity: 0.4 }),
                Plot.line(smooth(points), { x: "0", y: "1", stroke: colour, strokeWidth: 1.75 }),
              ]),
            ],
          }),
          {
            legend: courses,
            note: "Each dot is a step: the score that the reward gave, by the square root of the KL from the reference in nats, summed over the response.",
          },
        ),
      );
    if (models.length > 1)
      figures.push(
        figure(
          "On held-out prompts",
          chart({
            alt: `Held-out reward against the square root of KL: ${alt}`,
            width: 540,
            height: 300,
            marginRight: 48,
            x: { label: rootOfKl, zero: true },
            y: { nice: true },
            color: { type: "identity" },
            marks: [
              ...grid(),
              Plot.ruleX(models, { x: "x", y1: "low", y2: "high", stroke: "colour", strokeWidth: 2 }),
              Plot.dot(models, { x: "x", y: "mean", fill: "colour", r: 5 }),
              Plot.text(models, {
                x: "x",
                y: "mean",
                text: "name",
                textAnchor: "start",
                dx: 10,
                fontSize: 12,
              }),
            ],
          }),
          {
            note: "Each stage's final model, with the 95 % interval of its reward; the reference stands at 0.",
          },
        ),
      );
    return html`<p>How much reward a model gained for how far it moved from its reference: up and to the left is better. Far for little,
or a score in training that the held-out measure does not follow, is a sign of over-optimisation.</p><div class="figures two">${figures}</div>`;
  },
};

function coursesOf({ stages }: RunData) {
  return stages.flatMap(({ name, colour, metrics_log }) => {
    for (const reward of scores) {
      const points = metrics_log.flatMap((line): Point[] => {
        const [x, y] = [loggedKl(line), line[reward]];
        return typeof x === "number" && typeof y === "number" ? [[Math.sqrt(Math.max(0, x)), y]] : [];
      });
      if (points.length > 2) return [{ name, colour: colourOf(colour), points: thinned(points) }];
    }
    return [];
  });
}

const at = (point: Point | undefined): string =>
  point ? `${score(point[1])} at a KL of ${number(point[0] ** 2)}` : "nothing";

/** Where each model stands; one that others are measured from stands at 0. */
function modelsOf(stages: readonly Evaluated[]) {
  const references = new Set(stages.map(({ evaluation }) => evaluation.kl?.against));
  return stages.flatMap(({ name, colour, evaluation: { reward, kl } }) => {
    const value = kl?.value ?? (references.has(name) ? 0 : undefined);
    return reward && value !== undefined
      ? [{ name, colour: colourOf(colour), x: Math.sqrt(Math.max(0, value)), ...reward.overall, kl: value }]
      : [];
  });
}

/** Means of up to 16 bins in the order of the steps, so that a course which turns back is seen to do so. */
const smooth = (points: readonly Point[]): readonly Point[] => thinned(points, 16);
