/**
 * Studies over-optimisation (Gao, Schulman and Hilton 2022): optimises a proxy by best-of-n and by RL, scores every
 * model on the way with the gold reward, fits the curves and writes the report.
 */
import { join } from "node:path";
import type { Range } from "../../evaluate/index.ts";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import { readText, type StudyData } from "../study/files.ts";
import { placedIn, sharedDir } from "../study/grid.ts";
import { runStudy, type StudyOptions, type StudyResult } from "../study/run.ts";
import type { Study } from "../study/settings.ts";
import { type OveroptFigures, overoptFigures, type RunGroup } from "./figures.ts";
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
 * @throws RecipeError when the study's folder holds something else, or the study has neither runs nor a model to sample
 */
export async function overopt(study: Study, options: StudyOptions): Promise<OveroptResult> {
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

const rangeText = ({ mean, low, high }: Range): string =>
  `${signed(mean)} (${signed(low)} to ${Number.isFinite(high) ? signed(high) : "no end"})`;

const wayLine = ({ name, seeds, peak, best, end, change }: WayFigures): string =>
  `${name} (${seeds === 1 ? "1 seed" : `${seeds} seeds`}): peak at d = ${peak.mean.toFixed(2)}, best gold ${best.gold.toFixed(3)} (n = ${best.n}), at the end ${end.mean.toFixed(3)}` +
  (change
    ? `; beside the first: peak ${rangeText(change.peak)}, best gold ${rangeText(change.best)}, at the end ${rangeText(change.end)}`
    : "");

function linesOf({ proxies, groups, ways = [] }: OveroptFigures): string[] {
  const peak = (fit: RunGroup["fit"]): string => {
    if (!fit) return "no curve, too few points";
    const { curve, peak: at } = fit;
    const where = at
      ? `peak at d = ${at.mean.toFixed(2)} (${at.low.toFixed(2)} to ${Number.isFinite(at.high) ? at.high.toFixed(2) : "no end"})`
      : "no peak";
    return `alpha ${curve.alpha.toFixed(3)}, beta ${curve.beta.toFixed(3)}, R2 ${curve.r2.toFixed(2)}, ${where}`;
  };
  return [
    ...proxies
      .filter(({ bestOfN }) => bestOfN.length > 1)
      .map(({ name, fit }) => `best of n by ${name}: ${peak(fit)}`),
    ...groups.map(
      ({ group, fit, shift, change }) =>
        `${group}: ${peak(fit)}` +
        (shift ? `, beside the first ${rangeText(shift)}` : "") +
        (change.proxy === undefined ? "" : `; proxy ${signed(change.proxy)}`) +
        (change.gold_since_best === undefined
          ? ""
          : `, gold since its best ${signed(change.gold_since_best)}`),
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
