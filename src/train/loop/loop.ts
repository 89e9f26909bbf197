/**
 * The loop that every trainer on fixed data shares: step, log, evaluate, keep the best, write checkpoints, stop.
 *
 * It knows nothing of what is trained: batches come from `batchAt`, a function of the step alone, so a run that was
 * stopped goes on with the same batches.
 */
import {
  type Engine,
  flatten,
  type HostArray,
  type Resident,
  type Tree,
  unflatten,
  type Value,
} from "../../graph/index.ts";
import type { Optimizer } from "../../optim/index.ts";
import { TrainError } from "../errors.ts";
import { type Dials, dialArrays, dialSpecs, type Figures } from "./dials.ts";
import type { Loss } from "./step.ts";
import { createStepper } from "./stepper.ts";

type Metrics = Record<string, number>;

/** What one update is made from. */
export interface StepBatch {
  readonly micro: readonly Tree<Value>[];
  /** What the losses are divided by, over all micro-batches: labels, pairs, ... */
  readonly items: number;
  /** Tokens without padding. */
  readonly tokens: number;
  /** Epochs that are over after this step. */
  readonly epoch: number;
  /** Where the rows stand, for the message when something goes wrong. */
  readonly rows: () => string[];
}

/** Where a run stands; JSON. */
export interface LoopState {
  /** Updates that are done. */
  step: number;
  num_tokens: number;
  /** Evaluations since the best one. */
  stale: number;
  best?: { step: number; value: number };
  /** See dials.ts. */
  dials?: Figures;
}

/** What a checkpoint needs: read from the engine on demand. */
export interface Snapshot {
  readonly state: LoopState;
  readonly parameters: () => Promise<Record<string, HostArray>>;
  /** The parameters that evaluations judge: their moving average, where there is one. */
  readonly judged: () => Promise<Record<string, HostArray>>;
  readonly optimizer: () => Promise<Record<string, HostArray>>;
}

export interface StepReport {
  readonly step: number;
  readonly totalSteps: number;
  /** TRL's names: loss, grad_norm, learning_rate, num_tokens, epoch, ..., and eval_* after an evaluation. */
  readonly metrics: Metrics;
}

export interface LoopOptions {
  readonly engine: Engine;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  readonly maxGradNorm?: number;
  readonly parameters: Readonly<Record<string, HostArray>>;
  readonly batchSpec: Tree<{ dtype: HostArray["dtype"]; shape: readonly (string | number)[] }>;
  readonly accumulate: boolean;
  readonly totalSteps: number;
  readonly learningRate: (step: number) => number;
  readonly batchAt: (step: number) => StepBatch | Promise<StepBatch>;
  readonly dials?: Dials | undefined;
  /** From the sums over the micro-batches to what is shown, in training and of held-out rows. */
  readonly summary?: ((sums: Metrics) => Metrics) | undefined;
  /** Sums over held-out rows for packed parameters, without the `eval_` before them; `more` is what batches bring besides. */
  readonly evaluate?: (parameters: Tree<Resident>, more: Tree<HostArray>) => Promise<Metrics>;
  readonly evalSteps: number;
  /** The metric that says what is best; `eval_loss` and other losses are better when smaller. */
  readonly metricForBest: string;
  readonly greaterIsBetter: boolean;
  /** Evaluations without a better one after which training stops. */
  readonly patience?: number;
  readonly saveSteps: number;
  readonly save?: (snapshot: Snapshot) => Promise<void>;
  readonly saveBest?: (snapshot: Snapshot) => Promise<void>;
  readonly report: (report: StepReport) => void | Promise<void>;
  readonly from?: { state: LoopState; optimizer: Readonly<Record<string, HostArray>> };
  readonly signal?: AbortSignal;
  /** Ends the message of a loss that is not finite: where the last checkpoint is. */
  readonly rescue: () => string;
}

export interface LoopResult {
  readonly parameters: Record<string, HostArray>;
  /** The parameters that evaluations judge: their moving average, where there is one. */
  readonly judged: Record<string, HostArray>;
  readonly state: LoopState;
  readonly metrics: Metrics;
  readonly reason: "done" | "stopped" | "no improvement";
}

/**
 * Trains until the steps are done, the signal aborts, or patience ends.
 *
 * @throws TrainError when loss or gradient norm is not finite; nothing is saved then
 */
export async function trainLoop(options: LoopOptions): Promise<LoopResult> {
  const { engine, totalSteps, batchAt, evaluate, signal, metricForBest, dials } = options;
  const { summary = (sums: Metrics) => sums } = options;
  const stepper = await createStepper({
    engine,
    loss: options.loss,
    optimizer: options.optimizer,
    ...(options.maxGradNorm !== undefined && { maxGradNorm: options.maxGradNorm }),
    parameters: unflatten(options.parameters),
    batch: { ...options.batchSpec, ...dialSpecs(dials) },
    accumulate: options.accumulate,
    ...(options.from && { state: unflatten(options.from.optimizer) }),
  });
  const state: LoopState = {
    ...{ step: 0, num_tokens: 0, stale: 0, ...(dials && { dials: dials.start }) },
    ...options.from?.state,
  };
  const arrays = async (tree: Tree<Resident>) => flatten(await engine.get(tree));
  const parametersNow = async () => flatten(await stepper.parameters());
  const judgedNow = async () => flatten(await stepper.judgedParameters());
  const snapshot = (): Snapshot => ({
    state: { ...state },
    parameters: parametersNow,
    judged: judgedNow,
    optimizer: () => arrays(stepper.state),
  });
  let saved = options.from ? state.step : -1;
  const save = async () => {
    if (saved !== state.step) await options.save?.(snapshot());
    saved = state.step;
  };
  const judge = async (metrics: Metrics) => {
    const value = metrics[metricForBest];
    if (value === undefined)
      throw new TrainError(
        `metric_for_best: ${metricForBest} is not measured, there are ${Object.keys(metrics).join(", ")}`,
      );
    const isBetter =
      !state.best || (options.greaterIsBetter ? value > state.best.value : value < state.best.value);
    state.stale = isBetter ? 0 : state.stale + 1;
    if (!isBetter) return;
    state.best = { step: state.step, value };
    await options.saveBest?.(snapshot());
  };

  let metrics: Metrics = {};
  let reason: LoopResult["reason"] = "done";
  try {
    while (state.step < totalSteps) {
      if (signal?.aborted) {
        reason = "stopped";
        await save();
        break;
      }
      const batch = await batchAt(state.step);
      const learning_rate = options.learningRate(state.step);
      const turned = dialArrays(dials, state.dials);
      const micro = batch.micro.map((arrays) => ({ ...arrays, ...turned }));
      const measured = summary(await stepper.step(micro, batch.items, learning_rate));
      // With a scaled loss such a step was left out, and the next is made with half the scale.
      const isSkipped = isSkippedStep(measured);
      if (!isSkipped) checkFinite(measured, state.step + 1, batch, options.rescue);
      state.step++;
      if (dials)
        state.dials = await dials.next(state.dials as Figures, {
          ...{ step: state.step, totalSteps, items: batch.items, metrics: measured },
          parameters: parametersNow,
        });
      state.num_tokens += batch.tokens;
      metrics = { ...measured, learning_rate, num_tokens: state.num_tokens, epoch: batch.epoch };
      const isLast = state.step === totalSteps;
      if (evaluate && (state.step % options.evalSteps === 0 || isLast)) {
        const found = summary(await evaluate(stepper.judged, dialArrays(dials, state.dials, false)));
        for (const [name, value] of Object.entries(found)) metrics[`eval_${name}`] = value;
        await judge(metrics);
      }
      if (state.step % options.saveSteps === 0 || isLast) await save();
      await options.report({ step: state.step, totalSteps, metrics });
      if (options.patience !== undefined && state.stale >= options.patience && !isLast) {
        reason = "no improvement";
        await save();
        break;
      }
    }
    return { parameters: await parametersNow(), judged: await judgedNow(), state, metrics, reason };
  } finally {
    await stepper.free();
  }
}

/** A step that a loss scale has left out, while the scale can still fall. */
const isSkippedStep = ({ loss_scale: scale, grad_norm: norm }: Metrics): boolean =>
  scale !== undefined && scale > 1 && !Number.isFinite(norm);

function checkFinite(metrics: Metrics, step: number, batch: StepBatch, rescue: () => string): void {
  const bad = ["loss", "grad_norm"].find((name) => !Number.isFinite(metrics[name]));
  if (!bad) return;
  const rows = batch.rows();
  const shown = rows.slice(0, 8).join(", ") + (rows.length > 8 ? ` and ${rows.length - 8} more` : "");
  throw new TrainError(
    `step ${step}: ${bad} is ${metrics[bad]}, training stops; the rows of this batch are ${shown}; ${rescue()}; ` +
      "look at these rows, or lower the learning rate",
  );
}
