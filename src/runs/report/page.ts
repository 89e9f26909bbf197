/**
 * The report as one HTML page: nothing in it is fetched from anywhere, and its content policy forbids that, so that
 * text of a model could not even if it were markup.
 */
import { createHash } from "node:crypto";
import { type Html, html, trusted } from "./html.ts";
import type { RunData } from "./run-data.ts";
import { sections } from "./sections/index.ts";
import { overview } from "./sections/overview.ts";
import { script } from "./sections/responses.ts";
import { style } from "./style.ts";

export interface Page {
  readonly html: string;
  /** The ids of its sections. */
  readonly sections: readonly string[];
}

export function page(data: RunData): Page {
  const drawn = sections.flatMap(({ id, title, render }) => {
    const content = render(data);
    return content ? [{ id, title, content }] : [];
  });
  const { run, notes } = data;
  const hash = createHash("sha256").update(script.html).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const { html: text } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${run.name}: report of a run</title>
<style>${trusted(style)}</style>
</head>
<body>
<header class="top"><p class="brand">Attune <span>run report</span></p><h1>${run.name}</h1>${dates(data)}
${overview.render(data)}
<nav aria-label="Sections"><ul>${drawn.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav></header>
<main>
${drawn.map(({ id, title, content }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>\n${content}</section>\n`)}</main>
<footer>${notes.length > 0 && html`<h2>What is missing</h2><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
<p>Written by Attune ${run.attune ?? ""} from the files in the run's folder; <code>attune report DIR</code> writes it again.</p></footer>
<script>${script}</script>
</body>
</html>
`;
  return { html: text, sections: drawn.map(({ id }) => id) };
}

function dates({ run: { started, finished } }: RunData): Html | undefined {
  const shown = (iso: string) => html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")}</time>`;
  if (started === undefined) return undefined;
  return html`<p class="dates">${shown(started)}${finished !== undefined && html` to ${shown(finished)}`} UTC</p>`;
}
