/**
 * Studies over-optimisation (Gao, Schulman and Hilton 2022): optimises a proxy by best-of-n and by RL, scores every
 * model on the way with the gold reward, fits the curves and writes the report.
 */
import { join } from "node:path";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import { readText, type StudyData } from "../study/files.ts";
import { gridOf, placedIn, sharedDir } from "../study/grid.ts";
import { runStudy, type StudyOptions, type StudyResult } from "../study/run.ts";
import type { Study } from "../study/settings.ts";
import { type OveroptFigures, overoptFigures } from "./figures.ts";
import type { RunGroup } from "./groups.ts";
import { changeText, type Highest, peakText } from "./highest.ts";
import { requireSomethingToStudy } from "./required.ts";
import type { WayFigures } from "./ways.ts";

export interface OveroptResult extends Omit<StudyResult, "cells" | "reference"> {
  readonly figures: OveroptFigures;
  /** The figures, a line for each proxy's best-of-n and each group of runs. */
  readonly lines: readonly string[];
  /** Its path, when the study is done. */
  readonly report?: string;
}

/**
 * Runs what of the study is not done yet, and writes figures.json and report.html of what there is.
 *
 * @throws RecipeError when the study's folder holds something else, or there is nothing to study (required.ts)
 */
export async function overopt(study: Study, options: StudyOptions): Promise<OveroptResult> {
  requireSomethingToStudy(study, gridOf(study, study.recipe.output_dir));
  const { cells, reference, ...result } = await runStudy(study, { ...options, bestOfN: true });
  const data = { ...result, cells, reference };
  const figures = overoptFigures(data, { scales: await logOddsScales(data) });
  const lines = linesOf(figures);
  await writeJson(join(result.dir, "figures.json"), figures);
  if (result.reason === "stopped") return { ...result, figures, lines };
  const report = join(result.dir, "report.html");
  const { overoptPage } = await import("../report/overopt-page.ts"); // with the plotting library
  await writeWhole(report, overoptPage(figures));
  return { ...result, figures, lines, report };
}

const signed = (value: number): string => `${value >= 0 ? "+" : ""}${value.toFixed(3)}`;

const wayLine = ({ name, seeds, peak, best, end, change }: WayFigures): string =>
  `${name} (${seeds === 1 ? "1 seed" : `${seeds} seeds`}): ${courseText(peak)}, best gold ${best.gold.toFixed(3)} (n = ${best.n}), at the end ${end.mean.toFixed(3)}` +
  (change
    ? `; beside the first: ${change.peak ? `peak ${changeText(change.peak, signed)}` : noShift}, best gold ${changeText(change.best, signed)}, at the end ${changeText(change.end, signed)}`
    : "");

const courseText = (highest: Highest): string =>
  `${highest.course === "turns" ? "peak at d = " : ""}${peakText(highest, (d) => d.toFixed(2))}`;

/** In place of a difference of peaks. */
const noShift = "no peak to compare";

export function linesOf({ proxies, groups, ways = [] }: OveroptFigures): string[] {
  const curveText = ({ fit, highest }: Pick<RunGroup, "fit" | "highest">): string => {
    if (!fit || !highest) return "no curve, too few points";
    const { alpha, beta, r2 } = fit.curve;
    return `alpha ${alpha.toFixed(3)}, beta ${beta.toFixed(3)}, R2 ${r2.toFixed(2)}, ${courseText(highest)}`;
  };
  const sinceBest = ({ change: { gold_since_best: fallen }, fall, outcome }: RunGroup): string =>
    fallen === undefined
      ? ""
      : `, gold since its best ${fall ? changeText(fall, signed) : signed(fallen)}${outcome ? `: ${outcome}` : ""}`;
  return [
    ...proxies
      .filter(({ bestOfN }) => bestOfN.length > 1)
      .map((proxy) => `best of n by ${proxy.name}: ${curveText(proxy)}`),
    ...groups.map(
      (each) =>
        `${each.group}: ${curveText(each)}` +
        (each.beside === undefined
          ? ""
          : `, beside the first ${each.shift ? changeText(each.shift, signed) : noShift}`) +
        (each.change.proxy === undefined ? "" : `; proxy ${signed(each.change.proxy)}`) +
        sinceBest(each),
    ),
    ...ways.map(wayLine),
  ];
}

/** What reward models divide their log-odds by, for proxies that are one: `std` of their config.json. */
async function logOddsScales({ dir, study, cells }: StudyData): Promise<Record<string, number>> {
  const { proxy, proxies } = study.settings;
  const shared = { ...study.recipe, output_dir: sharedDir(dir) };
  const first = cells[0];
  const trained = study.recipe.stages.find(({ name }) => name === first?.target)?.keys.reward;
  const specifications = proxies ?? { proxy: proxy ?? trained };
  const out: Record<string, number> = {};
  for (const [name, specification] of Object.entries(specifications)) {
    const placed = placedIn(specification, "model", shared);
    if (typeof placed !== "string") continue;
    for (const file of ["config.json", join("model", "config.json")]) {
      const text = await readText(join(placed, file)).catch(() => undefined);
      if (text === undefined) continue;
      const { std = 1 } = JSON.parse(text) as { std?: unknown };
      if (typeof std === "number" && std > 0) out[name] = std;
    }
  }
  return out;
}
