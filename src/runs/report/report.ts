/** Writes the report of a run (Node): one HTML file, made of the files in the run's folder alone. */
import { join } from "node:path";
import { writeError } from "../errors.ts";
import { writeWhole } from "../write-whole.ts";
import { readRun } from "./run-data.ts";

export interface ReportOptions {
  /** Default: report.html in the run's folder. */
  readonly output?: string;
}

export interface Report {
  readonly path: string;
  /** Names of the stages that it shows. */
  readonly stages: readonly string[];
  /** Ids of its sections; those without anything to show are not there. */
  readonly sections: readonly string[];
  /** What could not be read and is missing, a phrase each. */
  readonly notes: readonly string[];
}

/**
 * Writes the report.
 *
 * @param dir the folder of a recipe's run (run.json, stages/) or of one trainer (metrics.jsonl)
 * @throws RunError when the folder is neither, or the file cannot be written; an earlier report stays then
 */
export async function writeReport(
  dir: string,
  { output: path = join(dir, "report.html") }: ReportOptions = {},
): Promise<Report> {
  const data = await readRun(dir);
  const { page } = await import("./page.ts"); // with the plotting library, which nobody else waits for
  const { html, sections } = page(data);
  await writeWhole(path, html).catch((error) => {
    throw writeError(error, path, "the report was not written");
  });
  return { path, stages: data.stages.map(({ name }) => name), sections, notes: data.notes };
}
