/** The work of `attune overopt`, `frontier` and `sweep`: reads a study, runs what is not done, shows it. */
import { frontier } from "../../lab/frontier/frontier.ts";
import { defaultStrengths, ownStrengths } from "../../lab/frontier/strengths.ts";
import { overopt } from "../../lab/overopt/overopt.ts";
import { requireSomethingToStudy } from "../../lab/overopt/required.ts";
import type { StudyEvents } from "../../lab/study/events.ts";
import { gridOf } from "../../lab/study/grid.ts";
import type { StudyPoint } from "../../lab/study/measure.ts";
import type { Study } from "../../lab/study/settings.ts";
import { stageKinds } from "../../recipe/index.ts";
import type { StageKind } from "../../recipe/stage.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { duration } from "../progress.ts";
import { type StageDisplay, stageDisplay } from "../stage-display.ts";
import { version } from "../version.ts";
import { type StudyOptions, studyFrom } from "./studies-given.ts";

export const runOveropt: Implementation<StudyOptions> = async (context, options, ...operands) => {
  const study = await studyFrom(options, operands, {
    name: "overopt",
    complete: ownStrengths,
    require: requireSomethingToStudy,
  });
  await show(context, options, study, { bestOfN: true });
};

export const runFrontier: Implementation<StudyOptions> = async (context, options, ...operands) => {
  const study = await studyFrom(options, operands, { name: "frontier", complete: defaultStrengths });
  await show(context, options, study, { bestOfN: false });
};

export const runSweep: Implementation<StudyOptions> = async (context, options, ...operands) => {
  const study = await studyFrom(options, operands, { name: "sweep", complete: (read) => read });
  const { vary, strengths, weights } = study.settings;
  if (!vary && !strengths && !weights)
    throw new UsageError(
      "sweep: --vary is required, as in --vary ppo.cliprange=0.1,0.2, or a section weights in the study",
    );
  await show(context, options, study, { bestOfN: false });
};

async function show(
  context: CliContext,
  options: StudyOptions,
  study: Study,
  { bestOfN }: { readonly bestOfN: boolean },
): Promise<void> {
  const { cells, shared } = gridOf(study, study.recipe.output_dir);
  if (options.check) {
    const names = cells.map(({ name }) => name);
    context.result(
      { ok: true, shared: shared.stages.map(({ name }) => name), cells: names },
      [`shared: ${shared.stages.map(({ name }) => name).join(", ") || "nothing"}`, ...names].join("\n"),
    );
    return;
  }
  const engine = await openEngine(context);
  let display: StageDisplay | undefined;
  const events: StudyEvents = {
    onStage: (label, trainer) => {
      const kind = stageKinds[trainer] ?? sampling;
      context.note(`\n${label}: ${kind.description}`);
      display = stageDisplay(context, kind, label);
    },
    onStart: (start) => display?.start(start),
    onStep: (report) => display?.step(report),
    onCell: ({ group, seed }, { index, of, done }) =>
      context.note(`\ncell ${index + 1}/${of}: ${group}, seed ${seed}${done ? ": done before" : ""}`),
    onPoint: (_, point) => {
      display?.done();
      context.note(`   ${pointLine(point)}`);
    },
    note: context.note,
  };
  const settings = {
    ...events,
    engine,
    signal: context.signal,
    resume: options.resume !== undefined,
    overwrite: options.overwrite ?? false,
    command: `attune ${process.argv.slice(2).join(" ")}`,
    version: version(),
  };
  try {
    const result = bestOfN ? await overopt(study, settings) : await frontier(study, settings);
    display?.done();
    const { reason, dir, figures, report, seconds } = result;
    if (reason === "stopped" || report === undefined) {
      context.note(`stopped; --resume ${dir} goes on`);
      return;
    }
    context.result(
      { output_dir: dir, seconds, report, figures },
      ["", ...result.lines, `in ${duration(seconds)}; the report: ${report}`].join("\n"),
    );
  } finally {
    await engine.dispose();
  }
}

/** How the reference's samples are shown while they are drawn. */
const sampling: Pick<StageKind, "name" | "description" | "shown"> & StageKind = {
  ...(stageKinds.pairs as StageKind),
  description: "samples for best-of-n",
  shown: [],
};

function pointLine({ step, kl, proxy, gold, drift }: StudyPoint): string {
  const figure = (value: number) => value.toFixed(3);
  return [
    `step ${step}`,
    ...(kl ? [`KL ${kl.mean.toFixed(2)} nats a response`] : []),
    ...(proxy ? [`proxy ${figure(proxy.mean)}`] : []),
    ...(gold ? [`gold ${figure(gold.mean)} (${figure(gold.low)} to ${figure(gold.high)})`] : []),
    `${drift.length.toFixed(1)} tokens`,
  ].join(", ");
}
