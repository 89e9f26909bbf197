/** The work of `attune sft`, `reward`, `ppo` and the other trainers: one stage, in the folder that --output names. */
import { resolve } from "node:path";
import { runStageAlone } from "../../recipe/alone.ts";
import { RecipeError, stageKeys, stageKinds } from "../../recipe/index.ts";
import type { StageKind } from "../../recipe/stage.ts";
import { checkPush, pushToHub } from "../../runs/hub-push.ts";
import type { CliContext } from "../context.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { stageDisplay } from "../stage-display.ts";

type Options = Record<string, unknown>;

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Counts as they are, other figures with four places. */
const shownFigure = (x: number): string => (Number.isInteger(x) ? `${x}` : x.toFixed(4));

/** Commander's names back to keys: learningRate is learning_rate, adamBeta1 is adam_beta1. */
function keysFrom(options: Options, kind: StageKind): Options {
  const known = Object.keys(kind.keys.shape);
  const entries = Object.entries(options).map(([name, value]) => {
    const key = known.find((k) => k.replaceAll("_", "") === snake(name).replaceAll("_", ""));
    return [key, value] as const;
  });
  return Object.fromEntries(entries.filter(([key, value]) => key !== undefined && value !== undefined));
}

export async function runTrainer(context: CliContext, name: string, options: Options): Promise<void> {
  const kind = stageKinds[name] as StageKind;
  const output = options.output as string;
  let keys: ReturnType<typeof stageKeys>;
  try {
    keys = stageKeys(kind, withoutDefaults(keysFrom(options, kind), kind), name);
  } catch (error) {
    if (error instanceof RecipeError) throw new UsageError(error.message);
    throw error;
  }
  const repo = options.pushToHub as string | undefined;
  if (repo !== undefined) checkPush({ repo }); // not after the training
  const engine = await openEngine(context);
  const display = stageDisplay(context, kind);
  const started = performance.now();
  try {
    const result = await runStageAlone(kind, keys, {
      dir: resolve(output),
      engine,
      signal: context.signal,
      resume: options.resume === true,
      overwrite: options.overwrite === true,
      onStart: display.start,
      onStep: display.step,
      note: context.note,
    });
    display.done();
    const seconds = (performance.now() - started) / 1000;
    const { steps, reason, best, metrics } = result;
    if (reason === "stopped") {
      context.note(
        kind.leavesModel
          ? `stopped after step ${steps}; the checkpoint is in ${output}, --resume goes on`
          : "stopped; nothing was written",
      );
      return;
    }
    const early = reason === "no improvement" ? ", stopped early" : "";
    const last = kind.shown.find((metric) => metrics[metric] !== undefined);
    const lines = [
      last === undefined
        ? `the run had been finished after ${counted(steps, "step")}`
        : `${counted(steps, "step")} in ${seconds.toFixed(0)} s${early}: ${last} ${shownFigure(metrics[last] as number)}`,
      ...(best
        ? [
            `best ${String(keys.metric_for_best_model ?? "eval_loss")} ${best.value.toFixed(4)} at step ${best.step}`,
          ]
        : []),
      kind.next(output),
    ];
    const pushed = repo === undefined ? undefined : await pushToHub(output, { repo, signal: context.signal });
    if (pushed) lines.push(`it is at ${pushed.url}`);
    context.result(
      { output, steps, reason, seconds, ...(best && { best }), metrics, ...(pushed && { url: pushed.url }) },
      lines.join("\n"),
    );
  } finally {
    await engine.dispose();
  }
}

/** A flag that is on by default comes as true though nobody gave it. */
const withoutDefaults = (keys: Options, kind: StageKind): Options =>
  Object.fromEntries(
    Object.entries(keys).filter(
      ([key, value]) => !(value === true && kind.keys.shape[key]?.meta()?.default === true),
    ),
  );
