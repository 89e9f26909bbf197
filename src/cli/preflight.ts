/** The preflight of a dataset as lines for a terminal: figures, what was left out, one row with its labels in colour. */
import type { Lengths, Piece, Preflight } from "../data/preflight.ts";
import { counted } from "./counted.ts";
import { compact } from "./progress.ts";

const count = (n: number): string => (n < 1000 ? String(n) : compact(n));
const percent = (share: number): string => `${Math.round(100 * share)} %`;
const shownCharacters = 400;
const shownSkips = 3;

/** What the examples are made of, by what they are. */
const figures: Record<Preflight["of"], (p: Preflight) => string[]> = {
  rows: (p) => {
    const cut = p.examples === p.rows ? "" : `, ${p.examples} after cutting`;
    const packed = p.packed === undefined ? "" : `, packed into ${p.packed}`;
    return [
      `data: ${counted(p.rows, "row")}${cut}${packed}; ${count(p.tokens)} tokens, ${count(p.labels)} of them labels`,
      `lengths: ${showLengths(p.lengths)}`,
      `the end-of-text token is a label in ${percent(p.eosShare)} of the rows`,
      ...(p.desirableShare === undefined
        ? []
        : [`desirable: ${percent(p.desirableShare)} of the completions`]),
    ];
  },
  pairs: (p) => {
    const { ties, marginShare, prompt, chosen, rejected, longerChosen } = p.pairs as NonNullable<
      Preflight["pairs"]
    >;
    return [
      `data: ${counted(p.examples, "pair")} from ${counted(p.rows, "row")}; ${count(p.tokens)} tokens, ${count(p.labels)} of them in responses`,
      `prompts: ${showLengths(prompt)}`,
      `chosen: ${showLengths(chosen)}; rejected: ${showLengths(rejected)}`,
      `the chosen response is the longer one in ${percent(longerChosen)} of the pairs; ties: ${ties}; with a margin: ${percent(marginShare)}`,
      `the end-of-text token ends ${percent(p.eosShare)} of the responses`,
    ];
  },
  lists: (p) => [
    `data: ${counted(p.examples, "list")} from ${counted(p.rows, "row")}; ${count(p.tokens)} tokens, ${count(p.labels)} of them in responses`,
    `prompts with their longest response: ${showLengths(p.lengths)}`,
    `the end-of-text token ends ${percent(p.eosShare)} of the responses`,
  ],
  prompts: (p) => [
    `data: ${counted(p.examples, "prompt")} from ${counted(p.rows, "row")}; ${count(p.tokens)} tokens`,
    `lengths: ${showLengths(p.lengths)}`,
  ],
};

const showLengths = ({ min, median, p95, max }: Lengths): string =>
  `${min} to ${max} tokens, median ${median}, 95 % up to ${p95}`;

export function showPreflight(p: Preflight, colour: boolean): string[] {
  const lines = figures[p.of](p);
  if (p.skipped.length > 0) {
    lines.push(`left out: ${counted(p.skipped.length, "row")}`);
    lines.push(...p.skipped.slice(0, shownSkips).map((reason) => `  ${reason}`));
    if (p.skipped.length > shownSkips) lines.push(`  and ${p.skipped.length - shownSkips} more`);
  }
  const mark = p.of === "prompts" ? "" : ` (${colour ? "green" : "between >> and <<"} counts in the loss)`;
  lines.push(`first ${p.of.slice(0, -1)}${mark}:`, `  ${showPieces(p.sample, colour)}`);
  if (p.rejectedSample) lines.push("rejected:", `  ${showPieces(p.rejectedSample, colour)}`);
  return lines;
}

/** A row with what counts in colour, or between >> and <<. */
function showPieces(pieces: readonly Piece[], colour: boolean): string {
  let room = shownCharacters;
  let out = "";
  for (const { text, counts } of pieces) {
    const whole = [...text.replace(/\r?\n/g, "\\n")];
    const shown = whole.length > room ? `${whole.slice(0, room).join("")} ...` : whole.join("");
    room -= Math.min(room, whole.length);
    if (colour) out += counts ? `\u001b[32m${shown}\u001b[39m` : `\u001b[2m${shown}\u001b[22m`;
    else out += counts ? `>>${shown}<<` : shown;
    if (room === 0) break;
  }
  return out;
}
