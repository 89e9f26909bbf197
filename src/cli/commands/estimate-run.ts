/** The work of `attune estimate`: memory and time of a recipe before it runs, as a table. */
import { type Estimate, estimateRecipe, type StageEstimate } from "../../recipe/index.ts";
import type { Implementation } from "../command.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { duration } from "../progress.ts";
import { recipeFrom } from "./run-run.ts";

interface Options {
  readonly probe: boolean;
  readonly probeSeconds?: string;
}

export const runEstimate: Implementation<Options> = async (context, options, ...operands) => {
  const budget = Number(options.probeSeconds ?? 4);
  if (!(budget >= 0 && Number.isFinite(budget)))
    throw new UsageError(`--probe-seconds: a number of at least 0 is required, got ${options.probeSeconds}`);
  const recipe = await recipeFrom(operands);
  const engine = await openEngine(context);
  try {
    const progress = context.progress({ label: "estimate", total: recipe.stages.length });
    const estimate = await estimateRecipe(recipe, {
      engine,
      signal: context.signal,
      probe: options.probe,
      budget,
      onStage: ({ index }) => progress.update(index),
      note: context.note,
    });
    progress.done();
    const warning = warningOf(estimate);
    if (warning !== undefined) context.warn(warning);
    context.result({ name: recipe.name, ...estimate }, tableOf(estimate).join("\n"));
  } finally {
    await engine.dispose();
  }
};

const bytes = (n: number): string => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.round(n / 1e6)} MB`);

const seconds = (n: number): string => (n < 1 ? `${Math.round(1000 * n)} ms` : duration(n));

/** What to say when a run takes more memory than is free. */
export const warningOf = ({ memory, available }: Estimate): string | undefined =>
  memory <= available
    ? undefined
    : `the run takes about ${bytes(memory)}, ${bytes(available)} are free; lower batch_size (and raise ` +
      "gradient_accumulation), or see docs/memory.md";

/** What a cell of a stage says; a column without any is left out. */
const columns: readonly { title: string; cell: (stage: StageEstimate) => string | undefined }[] = [
  { title: "stage", cell: ({ name }) => name },
  { title: "memory", cell: ({ memory }) => bytes(memory) },
  { title: "steps", cell: ({ steps }) => String(steps) },
  { title: "a step", cell: ({ step_seconds: s }) => (s === undefined ? undefined : seconds(s)) },
  { title: "time", cell: ({ seconds: s }) => (s === undefined ? undefined : seconds(s)) },
  { title: "evaluate", cell: ({ evaluate_seconds: s }) => (s === undefined ? undefined : seconds(s)) },
];

/** The estimate as lines: a row for each stage, and what all of them take. */
export function tableOf({ stages, memory, available, seconds: all }: Estimate): string[] {
  const shown = columns.filter(({ cell }) => stages.some((stage) => cell(stage) !== undefined));
  const rows = [
    shown.map(({ title }) => title),
    ...stages.map((stage) => shown.map(({ cell }) => cell(stage) ?? "")),
  ];
  const widths = shown.map((_, i) => Math.max(...rows.map((row) => (row[i] as string).length)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, i) => (i === 0 ? text.padEnd(widths[i] as number) : text.padStart(widths[i] as number)))
      .join("  ")
      .trimEnd();
  return [
    ...rows.map(line),
    "",
    `memory: ${bytes(memory)} at the peak, of ${bytes(available)} that are free`,
    ...(all === undefined ? [] : [`time:   about ${duration(all)}`]),
  ];
}
