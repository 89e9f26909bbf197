/** The name of a stage with its colour before it, as it stands in tables and above responses. */
import { colourOf } from "./charts.ts";
import { type Html, html } from "./html.ts";
import type { StageData } from "./run-data.ts";

export const stageName = ({ name, colour }: Pick<StageData, "name" | "colour">): Html =>
  html`<span class="stage" style="--key: ${colourOf(colour)}">${name}</span>`;
