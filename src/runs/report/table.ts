/** Tables of rows and columns; a column that is empty in every row is left out. */
import { type Html, type HtmlValue, html, trusted } from "./html.ts";

export interface Column<R> {
  readonly title: HtmlValue;
  readonly cell: (row: R) => HtmlValue;
  readonly numeric?: boolean;
  /** Its cells are prose, which keeps its lines. */
  readonly prose?: boolean;
  /** The cell names its row. */
  readonly heading?: boolean;
}

const isEmpty = (value: HtmlValue): boolean => value === undefined || value === false || value === "";

/** @param caption says what the table is, to those who do not see it */
export function table<R>(caption: string, columns: readonly Column<R>[], rows: readonly R[]): Html {
  const used = columns.filter(({ cell }) => rows.some((row) => !isEmpty(cell(row))));
  const kind = ({ numeric, prose }: Column<R>) =>
    (numeric && trusted(' class="number"')) || (prose && trusted(' class="prose" dir="auto"'));
  const head = used.map((column) => html`<th scope="col"${kind(column)}>${column.title}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>${used.map((column) => {
        const value = column.cell(row);
        const shown = isEmpty(value) ? html`<span class="none">\u2013</span>` : value;
        return column.heading
          ? html`<th scope="row"${kind(column)}>${shown}</th>`
          : html`<td${kind(column)}>${shown}</td>`;
      })}</tr>`,
  );
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>\n`;
}
