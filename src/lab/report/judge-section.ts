/** How well a proxy judges the policy's own responses, by how far the policy has gone: a part of the report of a study. */
import * as Plot from "@observablehq/plot";
import type { JudgeBucket } from "../../evaluate/index.ts";
import { chart, figure, grid } from "../../runs/report/charts.ts";
import { hundredths, number, score } from "../../runs/report/format.ts";
import { html } from "../../runs/report/html.ts";
import type { PageSection } from "../../runs/report/shell.ts";
import { table } from "../../runs/report/table.ts";
import type { OveroptFigures } from "../overopt/figures.ts";

/** @param colour of a proxy, by its place */
export function judgeSection(
  { proxies }: Pick<OveroptFigures, "proxies">,
  colour: (index: number) => string,
): PageSection | undefined {
  const rows = proxies.flatMap(({ name, judge: buckets }) => buckets.map((bucket) => ({ name, ...bucket })));
  if (rows.length === 0) return undefined;
  const label = ({ low, high }: { low: number; high: number }) =>
    Number.isFinite(high) ? `${low}\u2013${high}` : `${low}+`;
  const edges = [...new Set([...rows].sort((a, b) => a.low - b.low).map(label))];
  const plot = (
    title: string,
    of: (bucket: JudgeBucket) => number | undefined,
    chance: number,
    most?: number,
  ) => {
    const lines = proxies.map(({ judge: buckets }, i) => ({
      colour: colour(i),
      data: buckets.flatMap((bucket) => {
        const y = of(bucket);
        return y === undefined || !Number.isFinite(y) ? [] : [{ x: label(bucket), y }];
      }),
    }));
    const values = lines.flatMap(({ data }) => data.map(({ y }) => y));
    return (
      values.length > 0 &&
      figure(
        title,
        chart({
          alt: `${title}: ${lines.map(({ data }, i) => `${proxies[i]?.name} ${data.map(({ x, y }) => `${x} nats ${number(y)}`).join(", ")}`).join("; ")}`,
          x: { label: "KL of the policy, nats", domain: edges, type: "point" },
          y: { domain: [Math.min(chance, ...values), most ?? Math.max(...values) * 1.1], nice: true },
          marks: [
            ...grid(),
            Plot.ruleY([chance], { stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "3,4" }),
            ...lines.flatMap(({ data, colour: stroke }) => [
              Plot.line(data, { x: "x", y: "y", stroke, strokeWidth: 1.6 }),
              Plot.dot(data, { x: "x", y: "y", fill: stroke, r: 3 }),
            ]),
          ],
        }),
        { legend: proxies.length > 1 ? proxies.map(({ name }, i) => ({ name, colour: colour(i) })) : [] },
      )
    );
  };
  return {
    id: "judge",
    title: "The proxy as a judge of the policy's own responses",
    content: html`<p>Two responses of one policy to one prompt: how often the proxy prefers what the gold reward prefers, by how far the
policy has gone. At one half it knows nothing of what it is asked to judge.</p>
<div class="figures">${plot("Accuracy", ({ accuracy }) => accuracy, 0.5, 1)}${plot(
      "Rank correlation with gold",
      ({ correlation }) => correlation,
      0,
    )}${plot("Calibration error", ({ calibration }) => calibration?.ece, 0)}</div>
${table(
  "Accuracy and calibration by KL",
  [
    { title: "proxy", heading: true, cell: ({ name }) => name },
    { title: "KL, nats", cell: label },
    { title: "pairs", numeric: true, cell: ({ pairs }) => pairs },
    { title: "accuracy, %", numeric: true, cell: ({ accuracy }) => hundredths(accuracy) },
    {
      title: "calibration error",
      numeric: true,
      cell: ({ calibration }) => calibration?.ece.toFixed(3),
    },
    {
      title: "rank correlation with gold",
      numeric: true,
      cell: ({ correlation }) => Number.isFinite(correlation) && score(correlation),
    },
  ],
  rows,
)}`,
  };
}
