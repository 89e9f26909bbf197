/** The preflight of a dataset as lines for a terminal: figures, what was left out, one row with its labels in colour. */
import type { Preflight } from "../data/preflight.ts";
import { counted } from "./counted.ts";
import { compact } from "./progress.ts";

const count = (n: number): string => (n < 1000 ? String(n) : compact(n));
const shownCharacters = 400;
const shownSkips = 3;

export function showPreflight(p: Preflight, colour: boolean): string[] {
  const { lengths } = p;
  const cut = p.examples === p.rows ? "" : `, ${p.examples} after cutting`;
  const packed = p.packed === undefined ? "" : `, packed into ${p.packed}`;
  const lines = [
    `data: ${counted(p.rows, "row")}${cut}${packed}; ${count(p.tokens)} tokens, ${count(p.labels)} of them labels`,
    `lengths: ${lengths.min} to ${lengths.max} tokens, median ${lengths.median}, 95 % up to ${lengths.p95}`,
    `the end-of-text token is a label in ${Math.round(100 * p.eosShare)} % of the rows`,
  ];
  if (p.skipped.length > 0) {
    lines.push(`left out: ${counted(p.skipped.length, "row")}`);
    lines.push(...p.skipped.slice(0, shownSkips).map((reason) => `  ${reason}`));
  }
  lines.push(
    `first row (${colour ? "green" : "between >> and <<"} counts in the loss):`,
    `  ${sampleOf(p, colour)}`,
  );
  return lines;
}

function sampleOf({ sample }: Preflight, colour: boolean): string {
  let room = shownCharacters;
  let out = "";
  for (const { text, counts } of sample) {
    const whole = [...text.replace(/\r?\n/g, "\\n")];
    const shown = whole.length > room ? `${whole.slice(0, room).join("")} ...` : whole.join("");
    room -= Math.min(room, whole.length);
    if (colour) out += counts ? `\u001b[32m${shown}\u001b[39m` : `\u001b[2m${shown}\u001b[22m`;
    else out += counts ? `>>${shown}<<` : shown;
    if (room === 0) break;
  }
  return out;
}
