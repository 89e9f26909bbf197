/** The report of a run: its sections in a document. */
import { type Html, html } from "./html.ts";
import type { RunData } from "./run-data.ts";
import { sections } from "./sections/index.ts";
import { overview } from "./sections/overview.ts";
import { script } from "./sections/responses.ts";
import { document } from "./shell.ts";

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
  const text = document({
    title: `${run.name}: report of a run`,
    brand: "run report",
    heading: run.name,
    lead: [dates(data), overview.render(data)],
    sections: drawn,
    footer: html`${notes.length > 0 && html`<h2>What is missing</h2><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
<p>Written by Attune ${run.attune ?? ""} from the files in the run's folder; <code>attune report DIR</code> writes it again.</p>`,
    script,
  });
  return { html: text, sections: drawn.map(({ id }) => id) };
}

function dates({ run: { started, finished } }: RunData): Html | undefined {
  const shown = (iso: string) => html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")}</time>`;
  if (started === undefined) return undefined;
  return html`<p class="dates">${shown(started)}${finished !== undefined && html` to ${shown(finished)}`} UTC</p>`;
}
