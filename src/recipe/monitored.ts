/**
 * The key `monitor` of stages that optimise a reward: their runs are watched, whichever trainer it is.
 *
 *     ppo: { ..., monitor: { gold: world:gold, early_stopping: true } }
 *
 * What is seen goes to monitor.jsonl in the stage's folder. A run that is stopped early ends with its last model.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { OpenedReward } from "../reward/reward.ts";
import { openStepLines } from "../runs/step-lines.ts";
import { alarmDefaults, alarmSignals, defaultAlarms, type MonitorLine } from "../train/monitor/alarms.ts";
import { createMonitor, type Monitor } from "../train/monitor/monitor.ts";
import { RecipeError } from "./errors.ts";
import { count, flag, object, positive } from "./keys.ts";
import type { StageContext, StageKind } from "./stage.ts";

const monitorKeys = {
  gold: z
    .unknown()
    .optional()
    .meta({ description: "scores the same responses: world:gold, or a held-out reward" }),
  every_steps: count("steps between scores by it", { default: 1 }),
  early_stopping: flag("stop when the run is past the predicted peak of the gold reward", { default: false }),
  stop_at_d: positive("stop at this square root of KL, which attune overopt has found to be the peak"),
  baseline: count("steps at the start that later ones are held against", { default: alarmDefaults.baseline }),
  window: count("steps whose mean is held against them", { default: alarmDefaults.window }),
  alarms: z
    .array(z.enum(Object.keys(alarmSignals) as [string, ...string[]]))
    .optional()
    .meta({ description: "signals that raise alarms", default: [...defaultAlarms] }),
  threshold: positive("standard errors that a signal may go before it is an alarm", {
    default: alarmDefaults.threshold,
  }),
};

type MonitorKeys = z.infer<z.ZodObject<typeof monitorKeys>>;

/** Stages that train a model on what a reward says of its own responses. */
const isWatched = ({ keys, leavesModel, answers }: StageKind): boolean =>
  leavesModel && answers && "reward" in keys.shape;

/** An end by the KL needs one: the methods without a critic compute none where it costs nothing. */
function checkStop(kind: StageKind, { monitor, beta }: Readonly<Record<string, unknown>>): void {
  const { early_stopping, stop_at_d } = (monitor ?? {}) as MonitorKeys;
  const asked = early_stopping ? "early_stopping" : stop_at_d === undefined ? undefined : "stop_at_d";
  const weight = beta ?? (kind.keys.shape.beta as z.ZodType | undefined)?.meta()?.default;
  if (asked && "max_completion_length" in kind.keys.shape && weight === 0)
    throw new RecipeError(
      `monitor: ${asked} needs the KL to the reference, of which ${kind.name} computes none at beta 0; set beta above 0 (1e-4 does not hold the policy), or leave it out`,
    );
}

/** The kind with the key `monitor`, where it can be watched; otherwise as it is. */
export function monitored(kind: StageKind): StageKind {
  if (!isWatched(kind)) return kind;
  const keys = z.strictObject({
    ...kind.keys.shape,
    monitor: object(monitorKeys, "watch the run for reward hacking: alarms, and an early end"),
  });
  return {
    ...kind,
    keys,
    check(options) {
      checkStop(kind, options);
      kind.check?.(options);
    },
    async run({ monitor: asked, ...rest }, context) {
      if (asked === undefined) return kind.run(rest, context);
      return runWatched(kind, rest, { asked: asked as MonitorKeys, context });
    },
  };
}

async function runWatched(
  kind: StageKind,
  keys: Parameters<StageKind["run"]>[0],
  { asked, context }: { readonly asked: MonitorKeys; readonly context: StageContext },
): ReturnType<StageKind["run"]> {
  const { gold: specification, every_steps, early_stopping, stop_at_d, ...alarms } = asked;
  const path = join(context.dir, "monitor.jsonl");
  const enough = new AbortController();
  let monitor: Monitor | undefined;
  let begun = 0;
  let file: ReturnType<typeof openStepLines> | undefined;
  const result = await kind.run(keys, {
    ...context,
    signal: AbortSignal.any([context.signal, enough.signal]),
    async reward(proxy, policy): Promise<OpenedReward> {
      const gold = specification === undefined ? undefined : await context.reward(specification, policy);
      monitor = createMonitor({
        alarms: defaultAlarms,
        ...alarms,
        gold,
        everySteps: every_steps,
        earlyStopping: early_stopping,
        stopAtD: stop_at_d,
        before: context.resume ? await linesOf(path) : [],
        onAlarm: ({ text, value, name }, step) =>
          context.note(
            `step ${step}: alarm: ${text}${name === "peak" ? "" : ` (${value.toFixed(1)} standard errors)`}`,
          ),
      });
      return monitor.watch(await context.reward(proxy, policy));
    },
    onStart(start) {
      begun = start.step;
      monitor?.goOnAfter(begun);
      context.onStart(start);
    },
    async onStep(report) {
      const line = monitor?.step(report.step, report.metrics);
      file ??= openStepLines(path, begun);
      if (line) await (await file).write([line]);
      context.onStep(report);
      if (!monitor?.stop || enough.signal.aborted) return;
      context.note(`step ${report.step}: stopped early: ${monitor.stop.text}`);
      enough.abort();
    },
  });
  if (result.reason !== "stopped" || context.signal.aborted) return result;
  await result.model?.save(join(context.dir, "model"));
  return { ...result, reason: "no improvement" };
}

async function linesOf(path: string): Promise<MonitorLine[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as MonitorLine);
}
