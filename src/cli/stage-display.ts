/** A stage on the terminal: what it trains on, its progress line, what it was measured at. */
import type { Evaluation } from "../recipe/evaluate.ts";
import type { StageKind, StageStart } from "../recipe/stage.ts";
import type { StepReport } from "../train/loop/loop.ts";
import type { CliContext } from "./context.ts";
import { showPreflight } from "./preflight.ts";
import { type Progress, significant } from "./progress.ts";

export interface StageDisplay {
  start(start: StageStart): void;
  step(report: StepReport): void;
  done(): void;
}

/** Shows one stage through the command's context; `brief` leaves the preflight's row out. */
export function stageDisplay(context: CliContext, kind: StageKind, label = kind.name): StageDisplay {
  let progress: Progress | undefined;
  return {
    start({ preflight, heldOut, totalSteps, step }) {
      const colour = process.stderr.isTTY === true && !process.env.NO_COLOR;
      if (preflight) for (const line of showPreflight(preflight, colour)) context.note(line);
      if (heldOut !== undefined) context.note(`held out: ${heldOut} ${heldOut === 1 ? "row" : "rows"}`);
      if (step > 0) context.note(`going on after step ${step}`);
      progress = context.progress({ label, total: totalSteps });
    },
    step({ step, metrics }) {
      const shown = kind.shown
        .filter((name) => metrics[name] !== undefined)
        .map((name) => [name, metrics[name] as number] as const);
      progress?.update(step, { units: metrics.num_tokens ?? 0, metrics: Object.fromEntries(shown) });
      const held = Object.entries(metrics).filter(([name]) => name.startsWith("eval_"));
      if (held.length > 0)
        progress?.log(
          `step ${step}: ${held.map(([name, value]) => `${name} ${significant(value)}`).join(", ")}`,
        );
    },
    done: () => progress?.done(),
  };
}

const figure = (value: number): string => value.toFixed(3);
const percent = (value: number): string => `${Math.round(100 * value)} %`;

/** What a stage was measured at, in one line. */
export function evaluationLine({ reward, win_rate, kl, perplexity, length }: Evaluation): string {
  const parts: string[] = [];
  if (reward) {
    const { mean, low, high } = reward.overall;
    parts.push(`held-out reward ${figure(mean)} (${figure(low)} to ${figure(high)})`);
  }
  if (win_rate)
    parts.push(
      `wins ${percent(win_rate.rate)} against ${win_rate.against} (${percent(win_rate.low)} to ${percent(win_rate.high)})`,
    );
  if (kl) parts.push(`KL from ${kl.against} ${kl.value.toFixed(2)} nats a response`);
  if (perplexity !== undefined) parts.push(`perplexity ${perplexity.toFixed(2)}`);
  parts.push(`${length.mean.toFixed(1)} tokens an answer`);
  return parts.join(", ");
}
