/** Figures that stand out: a few large numbers in a row, each with its name. */
import { type Html, type HtmlValue, html } from "./html.ts";

export interface Tile {
  readonly name: HtmlValue;
  readonly value: string;
  readonly note?: HtmlValue;
}

export const tiles = (entries: readonly Tile[]): Html =>
  html`<dl class="tiles">${entries.map(
    ({ name, value, note }) =>
      html`<div><dt>${name}</dt><dd>${value}${note !== undefined && html`<small>${note}</small>`}</dd></div>`,
  )}</dl>`;
