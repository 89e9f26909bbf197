/** Lines of a text, whatever system wrote it: a byte-order mark and CR LF go, and so does the end of the last line. */
export function linesOf(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
