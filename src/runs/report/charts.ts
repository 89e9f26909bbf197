/**
 * Plots as inline SVG: Observable Plot draws into a document of linkedom, no browser needed.
 *
 * Colours are CSS variables (`var(--c0)`) and currentColor, so a plot follows the page into dark mode and onto paper.
 * Each plot is one picture to assistive technology, with a sentence that says what is seen.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type Html, html, trusted } from "./html.ts";

const { document } = parseHTML("<!doctype html><html><body></body></html>");

export interface ChartOptions extends Plot.PlotOptions {
  /** One sentence in place of the picture. */
  readonly alt: string;
}

/** Of a letter at the plots' size of type, and of one that the style sets larger on phones and paper. */
const letterWidth = 8;
const leastMarginLeft = 44;

/** A plot as SVG; its left margin holds the longest label of the vertical axis. */
export function chart({ alt, ...options }: ChartOptions): Html {
  const draw = (marginLeft: number) =>
    Plot.plot({
      width: 360,
      height: 204,
      marginTop: 12,
      marginRight: 14,
      marginBottom: 38,
      className: "plot",
      style: { fontSize: "11px" },
      marginLeft,
      ...options,
      document: document as unknown as Document,
    });
  const first = draw(leastMarginLeft);
  const labels = [...first.querySelectorAll('[aria-label="y-axis tick label"] text')];
  const needed = Math.ceil(
    letterWidth * Math.max(0, ...labels.map(({ textContent }) => textContent?.length ?? 0)) + 14,
  );
  const svg = needed > leastMarginLeft ? draw(needed) : first;
  svg.querySelector("style")?.remove(); // the page has these few rules once
  svg.removeAttribute("font-family");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", alt);
  return trusted(svg.outerHTML);
}

/** The colour of a stage, or of another series by its number. */
export const colourOf = (index: number): string => `var(--c${index % 8})`;

export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
  readonly dots?: boolean;
}

export interface FigureOptions {
  readonly legend?: readonly LegendEntry[];
  /** Beside the title. */
  readonly unit?: string;
  /** Below the plot: how it is read. */
  readonly note?: string;
  /** As wide as the page. */
  readonly wide?: boolean;
}

/** A plot with its title, and a legend where there are several series. */
export function figure(
  title: string,
  picture: Html,
  { legend = [], unit = "", note, wide = false }: FigureOptions = {},
): Html {
  const entries = legend.map(
    ({ name, colour, dots }) =>
      html`<span class="key${dots ? " dots" : ""}" style="--key: ${colour}">${name}</span>`,
  );
  return html`<figure${wide && trusted(' class="wide"')}><figcaption><strong>${title}</strong>${unit !== "" && html`<span class="unit">${unit}</span>`}${
    entries.length > 0 && html`<span class="legend">${entries}</span>`
  }</figcaption>${picture}${note !== undefined && html`<p class="note">${note}</p>`}</figure>`;
}

/** Light rules across, at the ticks of the vertical axis. */
export const rules = (): Plot.Markish =>
  Plot.gridY({ ticks: 5, stroke: "currentColor", strokeOpacity: 0.12 });

/** The vertical axis: numbers alone, its name is the figure's title. */
export const axisY = (options: Plot.AxisYOptions = {}): Plot.Markish =>
  Plot.axisY({ tickSize: 0, ticks: 5, label: null, ...options });

/** Rules and both axes, behind every plot of two numbers. */
export const grid = (options: { readonly tickFormat?: string } = {}): Plot.Markish[] => [
  rules(),
  Plot.axisX({ tickSize: 0, ticks: 5, labelArrow: "none", ...options }),
  axisY(options),
];

/** The distance that rewards are drawn over; each page says which KL it is. */
export const rootOfKl = "square root of KL, in nats";

export type Point = readonly [x: number, y: number];

export interface Series extends LegendEntry {
  readonly points: readonly Point[];
}

/** Beyond this many points a line is drawn through the means of as many bins. */
const maxPoints = 240;

/** The means of bins of neighbouring points. */
export function thinned(points: readonly Point[], most = maxPoints): readonly Point[] {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, i) => {
    const bin = points.slice(
      Math.floor((i * points.length) / most),
      Math.floor(((i + 1) * points.length) / most),
    );
    const mean = (axis: 0 | 1) => bin.reduce((sum, point) => sum + point[axis], 0) / bin.length;
    return [mean(0), mean(1)] as const;
  });
}

/**
 * Lines over the steps: what was measured faintly, its running mean on top; dots for what is measured now and then.
 */
export function lines(
  title: string,
  series: readonly Series[],
  { unit = "", note }: Pick<FigureOptions, "unit" | "note"> = {},
): Html {
  const marks = series.flatMap(({ points, colour, dots }) => {
    const data = thinned(points);
    const line = { x: "0", y: "1", stroke: colour };
    if (dots)
      return [
        Plot.line(data, { ...line, strokeWidth: 1.5 }),
        Plot.dot(data, { ...line, r: 2.5, fill: "var(--card)" }),
      ];
    const k = Math.ceil(data.length / 16);
    if (data.length < 32) return [Plot.line(data, { ...line, strokeWidth: 1.75 })];
    return [
      Plot.line(data, { ...line, strokeWidth: 1, strokeOpacity: 0.3 }),
      Plot.line(data, Plot.windowY({ k, reduce: "mean" }, { ...line, strokeWidth: 1.75 })),
    ];
  });
  return figure(
    title,
    chart({
      alt: `${title}${unit && `, ${unit}`}: ${series.map(course).join("; ")}`,
      x: { label: "step" },
      y: { nice: true, zero: false },
      marks: [...grid(), ...marks],
    }),
    { legend: series.length > 1 ? series : [], unit, ...(note !== undefined && { note }) },
  );
}

/** "training from 4.2 to 1.3". */
function course({ name, points }: Series): string {
  const [first, last] = [points[0]?.[1] ?? 0, points.at(-1)?.[1] ?? 0];
  return `${name} from ${Number(first.toPrecision(3))} to ${Number(last.toPrecision(3))}`;
}
