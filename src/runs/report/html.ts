/**
 * HTML as values: a template whose every inserted string is escaped, so that what a model wrote can never become markup.
 *
 *     html`<p>${completion}</p>`      strings and numbers are escaped, Html goes in as it is, lists are joined
 */

export interface Html {
  readonly html: string;
}

export type HtmlValue = string | number | Html | undefined | false | readonly HtmlValue[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Control characters but tab and newline, which would be invisible or end the text early: shown as ␀, ␛, ... */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f]/g;

/** Text for elements and for attributes in quotes. */
export const escapeHtml = (text: string): string =>
  text
    .replace(/\r\n?/g, "\n")
    .replace(controls, (control) => String.fromCharCode(0x2400 + control.charCodeAt(0)))
    .replace(/[&<>"']/g, (character) => entities[character] as string);

/** Markup that was made by a library or written in the source; never anything that was read from a file. */
export const trusted = (markup: string): Html => ({ html: markup });

export const html = (strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html =>
  trusted(strings.reduce((all, text, i) => all + toMarkup(values[i - 1]) + text));

function toMarkup(value: HtmlValue): string {
  if (value === undefined || value === false) return "";
  if (typeof value === "string" || typeof value === "number") return escapeHtml(String(value));
  return "html" in value ? value.html : value.map(toMarkup).join("");
}
