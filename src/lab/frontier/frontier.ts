/** Compares settings: trains each over the seeds, measures the final models, and writes figures and report. */
import { join } from "node:path";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import { paretoFigures, type WeighedFigures } from "../pareto/figures.ts";
import { runStudy, type StudyOptions, type StudyResult } from "../study/run.ts";
import type { Study } from "../study/settings.ts";
import { type FrontierFigures, frontierFigures } from "./figures.ts";

export interface FrontierResult extends Omit<StudyResult, "cells" | "reference"> {
  readonly figures: FrontierFigures;
  /** The figures, a line a setting. */
  readonly lines: readonly string[];
  /** Its path, when the study is done. */
  readonly report?: string;
}

/**
 * Runs what of the study is not done yet: algorithms over strengths for a frontier, any fields for a sweep.
 *
 * @throws RecipeError when the study's folder holds something else
 */
export async function frontier(study: Study, options: StudyOptions): Promise<FrontierResult> {
  const { cells, reference, ...result } = await runStudy(study, options);
  const data = { ...result, cells, reference };
  const figures = frontierFigures(data);
  const pareto = paretoFigures(data);
  const lines = [...figures.settings.map(lineOf), ...(pareto?.ways.map(weighedLine) ?? [])];
  await writeJson(join(result.dir, "figures.json"), { ...figures, ...(pareto && { pareto }) });
  if (result.reason === "stopped") return { ...result, figures, lines };
  const report = join(result.dir, "report.html");
  const { frontierPage } = await import("../report/frontier-page.ts"); // with the plotting library
  await writeWhole(report, frontierPage(figures, pareto));
  return { ...result, figures, lines, report };
}

const weighedLine = ({ name, how, objectives, onFront }: WeighedFigures): string =>
  `${onFront ? "*" : " "} ${name}, ${how}: ${Object.entries(objectives)
    .map(([objective, { mean }]) => `${objective} ${mean.toFixed(3)}`)
    .join(", ")}`;

function lineOf({
  group,
  gold,
  proxy,
  kl,
  seconds,
  onFrontier,
}: FrontierFigures["settings"][number]): string {
  const reward = gold ?? proxy;
  return [
    `${onFrontier ? "*" : " "} ${group}:`,
    ...(reward
      ? [
          `${gold ? "gold" : "proxy"} ${reward.mean.toFixed(3)} (${reward.low.toFixed(3)} to ${reward.high.toFixed(3)})`,
        ]
      : []),
    ...(kl ? [`at KL ${kl.mean.toFixed(2)}`] : []),
    `in ${seconds.mean.toFixed(0)} s`,
  ].join(" ");
}
