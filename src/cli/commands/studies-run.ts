/** The work of `attune overopt`, `frontier` and `sweep`: reads a study, runs what is not done, shows it. */
import { join } from "node:path";
import { frontier } from "../../lab/frontier/frontier.ts";
import { defaultStrengths, ownStrengths } from "../../lab/frontier/strengths.ts";
import { overopt } from "../../lab/overopt/overopt.ts";
import type { StudyEvents } from "../../lab/study/events.ts";
import { gridOf, parseValues } from "../../lab/study/grid.ts";
import type { StudyPoint } from "../../lab/study/measure.ts";
import { checkStudy, readStudyFile, type Study } from "../../lab/study/settings.ts";
import { OverrideError, parseOverrides, RecipeError, stageKinds } from "../../recipe/index.ts";
import { type Override, withOverrides } from "../../recipe/overrides.ts";
import type { StageKind } from "../../recipe/stage.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { duration } from "../progress.ts";
import { isFile, recipeFile, recipeNames, studyNames } from "../recipe-box.ts";
import { type StageDisplay, stageDisplay } from "../stage-display.ts";
import { version } from "../version.ts";

interface Options {
  readonly seeds?: string;
  readonly proxy?: string;
  readonly gold?: string;
  readonly numPrompts?: number;
  readonly samples?: number;
  readonly snapshots?: number;
  readonly bestOfN?: number;
  readonly strength?: readonly string[];
  readonly vary?: readonly string[];
  readonly stage?: string;
  readonly model?: string;
  readonly prompts?: readonly string[];
  readonly trainer?: string;
  readonly data?: readonly string[];
  readonly resume?: string;
  readonly overwrite?: boolean;
  readonly check?: boolean;
}

type Complete = (study: Study) => Study;

export const runOveropt: Implementation<Options> = async (context, options, ...operands) => {
  const study = await studyFrom(options, operands, ownStrengths);
  await show(context, options, study, { bestOfN: true });
};

export const runFrontier: Implementation<Options> = async (context, options, ...operands) => {
  await show(context, options, await studyFrom(options, operands, defaultStrengths), { bestOfN: false });
};

export const runSweep: Implementation<Options> = async (context, options, ...operands) => {
  const study = await studyFrom(options, operands, (read) => read);
  const { vary, strengths, weights } = study.settings;
  if (!vary && !strengths && !weights)
    throw new UsageError(
      "sweep: --vary is required, as in --vary ppo.cliprange=0.1,0.2, or a section weights in the study",
    );
  await show(context, options, study, { bestOfN: false });
};

/** The study of the command line: of a folder, of a file with options and fields, or of given models alone. */
async function studyFrom(options: Options, operands: readonly string[], complete: Complete): Promise<Study> {
  if (options.resume !== undefined) {
    const path = join(options.resume, "study.yaml");
    if (!(await isFile(path)))
      throw new RecipeError(`${options.resume}: the folder of a study is required (with study.yaml)`);
    const { recipe, settings } = await usage(() =>
      readStudyFile(path, { overrides: overridesOf(options, operands) }),
    );
    return complete({ settings, recipe: { ...recipe, output_dir: options.resume } });
  }
  const [name, ...rest] = operands;
  if (name === undefined || name.startsWith("--"))
    return complete(await usage(() => withoutRecipe(options, operands)));
  const path = await pathOf(name);
  const isSound = await readStudyFile(path).then(
    () => true,
    (error: unknown) => {
      if (error instanceof RecipeError) return false;
      throw error;
    },
  );
  const read = async () => readStudyFile(path, { overrides: overridesOf(options, rest) });
  return complete(await (isSound ? usage(read) : read())); // what stands in the file is no wrong usage
}

/** What is wrong with the command line is wrong usage. */
async function usage<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OverrideError || error instanceof RecipeError) throw new UsageError(error.message);
    throw error;
  }
}

const pathOf = async (name: string): Promise<string> =>
  recipeFile(name, [...(await studyNames()), ...(await recipeNames())], ["studies/"]);

/** Options as fields of the study, with the fields behind them. */
function overridesOf(options: Options, fields: readonly string[]): Override[] {
  const lists = (values: readonly string[]) => Object.fromEntries(values.map(parseValues));
  const settings: Record<string, unknown> = {
    seeds: options.seeds?.split(",").map(Number),
    proxy: options.proxy,
    gold: options.gold,
    num_prompts: options.numPrompts,
    samples: options.samples,
    snapshots: options.snapshots,
    best_of_n: options.bestOfN,
    stage: options.stage,
    model: options.model,
    prompts: options.prompts,
    strengths: options.strength && lists(options.strength),
    vary: options.vary && lists(options.vary),
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return [
    ...given.map(([key, value]) => ({ path: ["study", key], value, flag: `--${key}` })),
    ...parseOverrides(fields),
  ];
}

function withoutRecipe(options: Options, fields: readonly string[]): Study {
  const { model, proxy, prompts, trainer, data, strength } = options;
  const missing = Object.entries({ model, proxy, prompts, ...(trainer && { data }) })
    .filter(([, value]) => value === undefined)
    .map(([name]) => `--${name}`);
  if (missing.length > 0)
    throw new RecipeError(
      `overopt: a recipe is required, or ${missing.join(" and ")}; with --trainer ppo --data FILE a policy is trained too`,
    );
  const stages = trainer ? { [trainer]: { trainer, model, reward: proxy, data } } : {};
  // A strength without a stage's name is the trainer's.
  const named = strength?.map((text) => (trainer && !/^[^=]*\./.test(text) ? `${trainer}.${text}` : text));
  const base = { name: "overopt", stages };
  return checkStudy(
    withOverrides(base, overridesOf({ ...options, ...(named && { strength: named }) }, fields)),
    "overopt",
  );
}

async function show(
  context: CliContext,
  options: Options,
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
