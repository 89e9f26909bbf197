/**
 * A report as one HTML document: nothing in it is fetched from anywhere, and its content policy forbids that, so that
 * text of a model could not even if it were markup.
 */
import { createHash } from "node:crypto";
import { type Html, type HtmlValue, html, trusted } from "./html.ts";
import { style } from "./style.ts";

export interface PageSection {
  /** Of the link to it. */
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

export interface Shell {
  /** Of the browser's tab. */
  readonly title: string;
  /** What kind of report it is. */
  readonly brand: string;
  readonly heading: string;
  /** Between the heading and the links to the sections. */
  readonly lead: HtmlValue;
  readonly sections: readonly PageSection[];
  readonly footer: HtmlValue;
  /** The only script that may run. */
  readonly script?: Html;
}

/** The document's text. */
export function document({ title, brand, heading, lead, sections, footer, script }: Shell): string {
  const allowed = script
    ? ` script-src 'sha256-${createHash("sha256").update(script.html).digest("base64")}';`
    : "";
  const policy = `default-src 'none'; style-src 'unsafe-inline';${allowed} base-uri 'none'; form-action 'none'`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${trusted(style)}</style>
</head>
<body>
<header class="top"><p class="brand">Attune <span>${brand}</span></p><h1>${heading}</h1>${lead}
<nav aria-label="Sections"><ul>${sections.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`)}</ul></nav></header>
<main>
${sections.map(({ id, title: name, content }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${name}</h2>\n${content}</section>\n`)}</main>
<footer>${footer}</footer>
${script && html`<script>${script}</script>\n`}</body>
</html>
`.html;
}
