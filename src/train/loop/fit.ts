/**
 * What every trainer on fixed rows shares: optimiser, engine, run folder, resuming, evaluation, the best model, the
 * last one. A trainer brings its rows and its loss; `fitRows` trains.
 */
import { join } from "node:path";
import type { Engine, HostArray, TensorSpec, Tree } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { logitsChunkOf } from "../../models/tracing.ts";
import { packing, schedule } from "../../optim/index.ts";
import { type Fingerprint, openRun, type RunFolder } from "../../runs/run-folder.ts";
import { TrainError } from "../errors.ts";
import { dialSpecs, type FitDials } from "./dials.ts";
import { heldOutEvaluator } from "./held-out.ts";
import { type LoopState, type StepReport, trainLoop } from "./loop.ts";
import { checkMemory, stepSize } from "./memory.ts";
import { planOf, type Rows } from "./plan.ts";
import { type Loss, tracedLoss } from "./step.ts";
import { frozenIn, specsOf, type Trainable, trainableOf, withFrozen } from "./trainable.ts";
import {
  type Course,
  checkEarlyStopping,
  checkHalf,
  checkOptions,
  optimizerOf,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
  withDefaults,
} from "./trainer-options.ts";

export interface Fit<Row, Held = Row> {
  readonly model: Model;
  /** Over the whole parameter tree and a batch; divided by `num_items` of the batch. */
  readonly loss: Loss;
  /** What `collate` returns, without `num_items` and dials. */
  readonly batchSpec: Tree<TensorSpec>;
  /** What changes from step to step beside the parameters. */
  readonly dials?: FitDials | undefined;
  /** From the metrics' sums over micro-batches to what is shown; metrics are means over all items, so most stay. */
  readonly summary?: ((sums: Record<string, number>) => Record<string, number>) | undefined;
  readonly rows: Rows<Row>;
  /** Held-out rows; what is measured on them is loss and metrics of training, with `eval_` before their names. */
  readonly held?: Rows<Held> | undefined;
  /** Of held-out rows that are not like those of training. Default: `loss` and `batchSpec`. */
  readonly heldTask?: { readonly loss: Loss; readonly batchSpec: Tree<TensorSpec> } | undefined;
  /** What else must be the same when a run goes on: beta, maximal length, ... */
  readonly fingerprint?: Fingerprint;
  /** Runs when engine and run folder are there, before the first step; rows that need a model's say get it here. */
  readonly prepare?: (place: { engine: Engine; run?: RunFolder<LoopState> | undefined }) => Promise<void>;
  /** The final model, best or last, before it is saved: statistics that belong to it. */
  readonly finish?: (model: Model, engine: Engine) => Promise<Model>;
  /** Looks at the metrics of a step; a sentence that it returns becomes a warning, once. */
  readonly watch?: (metrics: Readonly<Record<string, number>>) => string | undefined;
}

export interface FitResult {
  /** The best model, or the last one when nothing was evaluated. */
  readonly model: Model;
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Step and value of the best evaluation. */
  readonly best?: { readonly step: number; readonly value: number };
  readonly steps: number;
  readonly reason: "done" | "stopped" | "no improvement";
}

/**
 * Trains a model on rows.
 *
 * @param options the trainer's, over its own defaults
 * @throws TrainError with what is required, what came and what to do
 */
export async function fitRows<Row, Held = Row>(
  task: Fit<Row, Held>,
  options: TrainerOptions,
  { signal, onStart, onStep, onWarning }: TrainerHooks<Course>,
): Promise<FitResult> {
  const o = withDefaults(trainerDefaults, options);
  const { model, batchSpec, rows, held, dials, summary } = task;
  checkOptions(o);
  checkEarlyStopping(o, held !== undefined);
  const trainable = trainableOf(model, o.lora, o.seed);
  const plan = planOf(rows, o);
  const most = plan.largest.rows * plan.largest.length;
  const logitsChunkSize = logitsChunkOf(o.logitsChunkSize, model.config.vocabSize, most);
  const loss = tracedLoss(withFrozen(chosenLoss(task, o), trainable), { ...o, logitsChunkSize });
  const optimizer = optimizerOf(o);
  if (o.memoryCheck)
    checkMemory(stepSize(model, trainable, optimizer, { ...o, ...plan.largest }), o.memoryCheck);
  const totalSteps = o.maxSteps ?? Math.max(1, Math.ceil(o.numEpochs * plan.stepsPerEpoch));
  const every = Math.max(1, Math.ceil(totalSteps / 10));
  const warmupSteps = o.warmupSteps ?? Math.ceil((o.warmupRatio ?? 0) * totalSteps);
  const loadBest = (o.loadBestModelAtEnd ?? true) && held !== undefined;

  const fingerprint = { ...plan.fingerprint, ...courseOf(o, totalSteps, warmupSteps), ...task.fingerprint };

  const run = o.outputDir === undefined ? undefined : await openRun<LoopState>(o.outputDir, o);
  let own: Engine | undefined;
  try {
    const from = await run?.resume(fingerprint);
    tellOfResume(o, run, from, onWarning);
    if (from && from.step > totalSteps)
      throw new TrainError(
        `the run is at step ${from.step} already, beyond the ${totalSteps} that are asked for; raise max_steps`,
      );
    onStart?.({ totalSteps, step: from?.step ?? 0, tokens: from?.state.num_tokens ?? 0 });
    const engine = o.engine ?? (own = await createEngine({ provider: o.provider, threads: o.threads }));
    checkHalf(o, engine.provider);
    await task.prepare?.({ engine, run });
    const frozen = await frozenIn(engine, trainable);
    const best = bestModel(trainable, run);
    const watches = [watchLoss(), ...(task.watch ? [once(task.watch)] : [])];
    const result = await trainLoop({
      engine,
      loss,
      optimizer,
      maxGradNorm: o.maxGradNorm > 0 ? o.maxGradNorm : undefined,
      parameters: from ? trainable.trainedOf(await from.model()) : trainable.parameters,
      batchSpec: frozen.spec(batchSpec),
      dials: dials && {
        ...dials,
        next: (now, facts) =>
          dials.next(now, {
            ...facts,
            engine,
            model: async () => trainable.modelWith(await facts.parameters()),
          }),
      },
      summary,
      accumulate: o.gradientAccumulation > 1,
      totalSteps,
      learningRate: schedule(o.lrSchedulerType, o.learningRate, { totalSteps, warmupSteps }),
      batchAt: async (step) => {
        const batch = await plan.batchAt(step);
        return { ...batch, micro: batch.micro.map(frozen.batch) };
      },
      evaluate:
        held &&
        (await heldOutEvaluator({
          engine,
          loss: task.heldTask ? withFrozen(chosenLoss({ ...task.heldTask, model }, o), trainable) : loss,
          batchSpec: { ...(task.heldTask?.batchSpec ?? batchSpec), ...dialSpecs(dials) },
          rows: held,
          batchSize: o.evalBatchSize ?? o.batchSize,
          packing: packing(specsOf(trainable.parameters), optimizer.groupOf),
          frozen,
        })),
      evalSteps: o.evalSteps ?? every,
      metricForBest: o.metricForBest,
      greaterIsBetter: !o.metricForBest.endsWith("loss"),
      patience: o.earlyStoppingPatience,
      saveSteps: o.saveSteps ?? every,
      save:
        run &&
        (async ({ state, parameters, optimizer }) => {
          const model = trainable.modelWith(await parameters());
          await run.save(state.step, { models: { model }, state, arrays: await optimizer() }, fingerprint);
        }),
      saveBest: loadBest ? async ({ judged }) => best.keep(await judged()) : undefined,
      report: async (report) => {
        await run?.log(report.step, report.metrics);
        for (const watch of watches) {
          const warning = watch(report.metrics);
          if (warning !== undefined) onWarning?.(`step ${report.step}: ${warning}`);
        }
        await onStep?.(report);
      },
      from: from && { state: from.state, optimizer: from.arrays },
      signal,
      rescue: () => run?.lastCheckpoint() ?? "there is no checkpoint, since there is no output folder",
    }).finally(() => frozen.free());
    const { state, reason } = result;
    const isOver = reason !== "stopped";
    const bestIsEarlier = state.best !== undefined && state.best.step < state.step;
    const kept = loadBest && bestIsEarlier && isOver ? await best.model() : undefined;
    let final = kept ?? trainable.modelWith(result.judged);
    if (isOver && task.finish) final = await task.finish(final, engine);
    if (run && isOver) {
      await final.save(join(run.dir, "model"));
      if (o.emaDecay !== undefined) await trainable.modelWith(result.parameters).save(join(run.dir, "last"));
    }
    return { model: final, metrics: result.metrics, best: state.best, steps: state.step, reason };
  } finally {
    await own?.dispose();
    await run?.close();
  }
}

/** Says what a person who resumes should know. */
export function tellOfResume(
  { resume }: TrainerOptions,
  run: { readonly dir: string } | undefined,
  from: { readonly note?: string } | undefined,
  onWarning: (text: string) => void = () => {},
): void {
  if (from?.note !== undefined) onWarning(from.note);
  if (!resume || from) return;
  onWarning(
    run
      ? `${run.dir}: there is no checkpoint to go on from, the run starts at the first step`
      : "resume: without output_dir there is nothing to go on from, the run starts at the first step",
  );
}

const chosenLoss = (
  { loss: usual, model }: Pick<Fit<never>, "loss" | "model">,
  { loss }: TrainerOptions,
): Loss => (loss ? (params, batch) => loss(params, batch, { config: model.config, usual }) : usual);

/** What else must be the same when a run goes on: how it was optimised, and towards which end its rate falls. */
const courseOf = (
  {
    learningRate,
    lrSchedulerType,
    optimizer,
    weightDecay,
    maxGradNorm,
    emaDecay,
    fp16,
  }: Pick<
    Required<TrainerOptions>,
    "learningRate" | "lrSchedulerType" | "optimizer" | "weightDecay" | "maxGradNorm"
  > &
    Pick<TrainerOptions, "emaDecay" | "fp16">,
  totalSteps: number,
  warmupSteps: number,
): Fingerprint => ({
  learningRate,
  lrSchedulerType,
  warmupSteps,
  optimizer,
  weightDecay,
  maxGradNorm,
  ...(emaDecay !== undefined && { emaDecay }),
  ...(fp16 && { fp16 }),
  ...(!lrSchedulerType.startsWith("constant") && { totalSteps }),
});

/** Where the best model waits for the end: in the run's folder, or in memory. */
function bestModel(trainable: Trainable, run: RunFolder<LoopState> | undefined) {
  let inMemory: Record<string, HostArray> | undefined;
  const dir = run && join(run.dir, "best");
  return {
    async keep(parameters: Record<string, HostArray>): Promise<void> {
      if (dir) await trainable.modelWith(parameters).save(dir);
      else inMemory = parameters;
    },
    async model(): Promise<Model | undefined> {
      if (dir) return trainable.modelWith(trainable.trainedOf(await loadModel(dir)));
      return inMemory && trainable.modelWith(inMemory);
    },
  };
}

/** A watch that speaks once. */
const once = <T>(watch: (value: T) => string | undefined) => {
  let spoken = false;
  return (value: T): string | undefined => {
    const text = spoken ? undefined : watch(value);
    spoken ||= text !== undefined;
    return text;
  };
};

const firstLosses = 3;
const lossWindow = 8;
const explosion = 3;

/** Tells when the loss, averaged over some steps, is far above what it began with. */
function watchLoss(): (metrics: Readonly<Record<string, number>>) => string | undefined {
  const losses: number[] = [];
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  let start = Number.NaN;
  return once(({ loss }: StepReport["metrics"]) => {
    losses.push(loss as number);
    if (losses.length > lossWindow) losses.shift();
    const now = mean(losses);
    if (losses.length === firstLosses) start = now;
    return losses.length === lossWindow && start > 0 && now > explosion * start
      ? `the loss has grown from ${start.toFixed(3)} to ${now.toFixed(3)}; lower the learning rate`
      : undefined;
  });
}
