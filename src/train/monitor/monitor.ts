/**
 * Watches an RL run of any trainer from outside: it sits on the reward, through which all responses go, and on the
 * reports of the steps, which bring KL and entropy.
 */
import { driftOf, loggedEntropy, loggedKl, mean } from "../../evaluate/index.ts";
import { observed } from "../../reward/observed.ts";
import { type OpenedReward, type RewardInput, spreadOf } from "../../reward/reward.ts";
import { type Alarm, type AlarmOptions, alarmsAt, isPastPeak, type MonitorLine } from "./alarms.ts";

export interface MonitorOptions extends AlarmOptions {
  /** Scores the same responses: the gold reward, or one that is held out. */
  readonly gold?: OpenedReward | undefined;
  /** Steps between scores by it. */
  readonly everySteps?: number | undefined;
  /** Stop when the run is past the predicted peak. */
  readonly earlyStopping?: boolean | undefined;
  /** Stop at this square root of KL, which a study has found to be the peak. */
  readonly stopAtD?: number | undefined;
  /** Lines of an earlier part of the run. */
  readonly before?: readonly MonitorLine[];
  readonly onAlarm?: (alarm: Alarm, step: number) => void;
}

export interface Monitor {
  /** The reward, watched: the same scores. */
  watch(reward: OpenedReward): OpenedReward;
  /** Forgets what was seen after a step: the run goes on from there. */
  goOnAfter(step: number): void;
  /** What was seen in a step; undefined when no response went through the reward. */
  step(step: number, metrics: Readonly<Record<string, number>>): MonitorLine | undefined;
  /** Why the run should end now. */
  readonly stop: Alarm | undefined;
  readonly lines: readonly MonitorLine[];
}

interface Seen {
  readonly inputs: RewardInput[];
  readonly proxy: number[];
  readonly gold: number[];
  readonly apart: number[];
}

const nothing = (): Seen => ({ inputs: [], proxy: [], gold: [], apart: [] });

export function createMonitor(options: MonitorOptions = {}): Monitor {
  const { gold, everySteps = 1, earlyStopping = false, stopAtD, before = [], onAlarm } = options;
  let lines = [...before];
  let raised = new Set<string>();
  let seen = nothing();
  let steps = 0;
  let stop: Alarm | undefined;

  return {
    get lines() {
      return lines;
    },
    goOnAfter(step) {
      lines = lines.filter((line) => line.step <= step);
      raised = new Set(lines.flatMap(({ alarms = [] }) => alarms));
      seen = nothing();
    },
    get stop() {
      return stop;
    },
    watch: (reward) =>
      observed(reward, async (batch, found) => {
        seen.inputs.push(...batch);
        seen.proxy.push(...found.scores);
        if (gold && steps % everySteps === 0) seen.gold.push(...(await gold.score(batch)));
        seen.apart.push(...(spreadOf(found) ?? []));
      }),
    step(step, metrics) {
      const { inputs, proxy, gold: golds, apart } = seen;
      seen = nothing();
      steps++;
      if (inputs.length === 0) return undefined;
      const drift = driftOf(
        inputs.map(({ prompt, completion, completionIds }) => ({
          prompt,
          completion,
          tokens: completionIds?.length ?? 0,
        })),
      );
      const [kl, entropy] = [loggedKl(metrics), loggedEntropy(metrics)];
      const line: MonitorLine = {
        step,
        proxy: mean(proxy),
        ...(kl !== undefined && { kl }),
        ...(golds.length > 0 && { gold: mean(golds) }),
        length: drift.length,
        repetition: drift.repetition,
        duplicates: drift.duplicates,
        ...(entropy !== undefined && { entropy }),
        ...(apart.length > 0 && { disagreement: mean(apart) }),
      };
      const now = [...lines, line];
      const past = isPastPeak(now);
      const d = kl === undefined ? 0 : Math.sqrt(Math.max(0, kl));
      if (stopAtD !== undefined && d > stopAtD)
        stop = { name: "peak", text: `d = ${d.toFixed(2)} is beyond ${stopAtD}`, value: stopAtD };
      if (earlyStopping && past) stop = past;
      const alarms = [...alarmsAt(now, options), ...(past ? [past] : [])];
      for (const alarm of alarms) {
        if (!raised.has(alarm.name)) onAlarm?.(alarm, step);
        raised.add(alarm.name);
      }
      const whole = { ...line, ...(alarms.length > 0 && { alarms: alarms.map(({ name }) => name) }) };
      lines.push(whole);
      return whole;
    },
  };
}
