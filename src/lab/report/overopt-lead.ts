/** The head of the report of a study of over-optimisation: what came out, in a sentence and a row of figures. */
import { number, score } from "../../runs/report/format.ts";
import { type Html, html } from "../../runs/report/html.ts";
import { type Tile, tiles } from "../../runs/report/tiles.ts";
import type { OveroptFigures } from "../overopt/figures.ts";
import type { Outcome, RunGroup } from "../overopt/groups.ts";
import { placesText } from "../overopt/highest.ts";

export function overoptLead({ groups, proxies, start, prompts }: OveroptFigures): Html {
  const [first] = groups;
  return html`<p class="lead">${
    groups.length > 0
      ? outcomesText(groups)
      : `Best of n samples of the reference by ${proxies.length === 1 ? "the proxy" : `${proxies.length} proxies`}, scored by the gold reward.`
  }</p>
${tiles([
  {
    name: "gold reward of the reference",
    value: start.gold ? score(start.gold.mean) : "\u2013",
    note: `${prompts} prompts`,
  },
  ...(first ? tilesOf(first) : []),
])}`;
}

/** What is said of settings by what became of their gold reward, the worst first. */
const outcomeTexts: Readonly<Record<Exclude<Outcome, "at its best">, string>> = {
  hacked:
    "the gold reward fell from its best, by more than noise, while the proxy went on rising: the reward was hacked",
  fell: "the gold reward fell from its best by more than noise, and the proxy was not seen to rise meanwhile",
  "within noise": "the gold reward ended below its best, but within noise: a fall is not shown",
};

function outcomesText(groups: readonly RunGroup[]): string {
  const sentence = (members: readonly RunGroup[], text: string): string[] =>
    members.length > 0 ? [`In ${members.length} of ${groups.length} settings ${text}.`] : [];
  const sentences = [
    ...Object.entries(outcomeTexts).flatMap(([outcome, text]) =>
      sentence(
        groups.filter((group) => group.outcome === outcome),
        text,
      ),
    ),
    ...sentence(
      groups.filter(({ outcome }) => outcome === undefined),
      "it is not known whether the gold reward fell",
    ),
  ];
  return sentences.length > 0 ? sentences.join(" ") : "In no setting did the gold reward fall from its best.";
}

/** Of the first setting, which each of them names. */
function tilesOf({ group, best, last, fit, highest }: RunGroup): Tile[] {
  return [
    ...(best
      ? [
          {
            name: "best gold reward",
            value: score(best.gold),
            note: best.step === 0 ? `${group}: the reference itself` : `${group}, step ${best.step}`,
          },
        ]
      : []),
    ...(last.gold === undefined
      ? []
      : [
          {
            name: "gold reward at the end",
            value: score(last.gold),
            note: last.proxy === undefined ? group : `${group}; its proxy ${score(last.proxy)}`,
          },
        ]),
    ...(fit && highest
      ? [
          highest.course === "turns"
            ? {
                name: "peak of the fitted curve",
                value: `d = ${number(highest.mean)}`,
                note: `${group}: ${placesText(highest, number)}`,
              }
            : { name: "the fitted curve", value: highest.course, note: group },
          {
            name: "explained by the curve",
            value: `R\u00b2 ${fit.curve.r2.toFixed(2)}`,
            note: `${group}: d (\u03b1 \u2212 \u03b2 log d)`,
          },
        ]
      : []),
  ];
}
