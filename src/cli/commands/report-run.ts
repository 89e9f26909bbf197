/** The work of `attune report`. */
import { writeReport } from "../../runs/report/report.ts";
import type { Implementation } from "../command.ts";

interface Options {
  readonly output?: string;
}

export const runReport: Implementation<Options> = async (context, { output }, dir = "") => {
  const report = await writeReport(dir, output === undefined ? {} : { output });
  for (const note of report.notes) context.warn(`left out: ${note}`);
  const { path, stages, sections, notes } = report;
  context.result(
    { path, stages, sections, notes },
    `the report of ${stages.length === 1 ? "one stage" : `${stages.length} stages`} is in ${path}`,
  );
};
