/** metrics.jsonl and samples.jsonl of a run (Node): JSON objects, one a line, each with its `step`. */
import { appendFile, readFile } from "node:fs/promises";
import { writeWhole } from "./write-whole.ts";

export interface StepLines {
  write(lines: readonly { readonly step: number }[]): Promise<void>;
}

/** Opens the file for lines after `step`; later ones, of a run that was killed, are taken out. */
export async function openStepLines(path: string, step: number): Promise<StepLines> {
  const text = await readFile(path, "utf8").catch(() => "");
  const kept = text.split("\n").filter((line) => line !== "" && stepOf(line) <= step);
  const whole = kept.map((line) => `${line}\n`).join("");
  if (whole !== text) await writeWhole(path, whole);
  return {
    write: (lines) => appendFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join("")),
  };
}

/** A torn last line counts as one that is too late. */
function stepOf(line: string): number {
  try {
    return JSON.parse(line).step ?? 0;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
