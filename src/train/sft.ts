/**
 * Supervised fine-tuning: next-token prediction on text, on completions of prompts, or on conversations.
 *
 *     L = - 1/n sum log p(label_t | tokens up to t)      n: the labels of the whole batch, not of a micro-batch
 */
import { join } from "node:path";
import { type Dataset, loadDataset } from "../data/dataset.ts";
import type { HostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { loadModel, type Model, withChatTemplate } from "../models/load.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { adam, adamw, type Optimizer, packing, schedule, sgd } from "../optim/index.ts";
import { openRun } from "../runs/run-folder.ts";
import { TrainError } from "./errors.ts";
import { labelEvaluator } from "./label-evaluator.ts";
import { languageModelLoss } from "./language-model.ts";
import { type LoopState, type StepReport, trainLoop } from "./loop.ts";
import { checkMemory } from "./memory.ts";
import { type SftOptions, sftDefaults } from "./sft-options.ts";
import { batchSpec, planOf, stepSize } from "./sft-plan.ts";
import { frozenIn, specsOf, trainableOf, withFrozen } from "./trainable.ts";

export interface SftStart {
  readonly train: Dataset;
  readonly eval?: Dataset;
  /** With the tokens of the chat template. */
  readonly tokenizer: Tokenizer;
  readonly totalSteps: number;
  /** Steps that are done already, when a run is resumed. */
  readonly step: number;
}

export interface SftHooks {
  /** Ends training after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Before the first step: what will be trained on. */
  readonly onStart?: (start: SftStart) => void;
  readonly onStep?: (report: StepReport) => void | Promise<void>;
}

export interface SftResult {
  /** The best model, or the last one when nothing was evaluated. */
  readonly model: Model;
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Step and value of the best evaluation. */
  readonly best?: { readonly step: number; readonly value: number };
  readonly steps: number;
  readonly reason: "done" | "stopped" | "no improvement";
}

const optimizers: Record<NonNullable<SftOptions["optimizer"]>, (o: SftOptions) => Optimizer> = {
  adamw: (o) => adamw(adamOptions(o)),
  adam: (o) => adam(adamOptions(o)),
  sgd: ({ momentum = sftDefaults.momentum, weightDecay = sftDefaults.weightDecay }) =>
    sgd({ momentum, weightDecay }),
};

const adamOptions = ({
  adamBeta1 = sftDefaults.adamBeta1,
  adamBeta2 = sftDefaults.adamBeta2,
  adamEpsilon = sftDefaults.adamEpsilon,
  weightDecay = sftDefaults.weightDecay,
}: SftOptions) => ({ betas: [adamBeta1, adamBeta2] as const, eps: adamEpsilon, weightDecay });

/**
 * Fine-tunes a model.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await sft({ model: await loadModel("gpt2"), data: "rows.jsonl", outputDir: "run" });
 */
export async function sft(
  options: SftOptions,
  { signal, onStart, onStep }: SftHooks = {},
): Promise<SftResult> {
  const o = { ...sftDefaults, ...defined(options) };
  const { batchSize, gradientAccumulation } = o;
  const model = o.chatTemplate === undefined ? o.model : withChatTemplate(o.model, o.chatTemplate);
  const { config, tokenizer } = model;
  if (!tokenizer) throw new TrainError(`${model.name}: sft needs a tokenizer, the model has none`);
  if (o.lora && config.vocabSize !== o.model.config.vocabSize)
    throw new TrainError(
      `${model.name}: the chat template adds tokens, whose embeddings an adapter does not train: add them to the model first`,
    );
  const trainable = trainableOf(model, o.lora, o.seed);
  const maxLength = checkLength(options.maxLength, config.maxPositions);

  const dataOptions = {
    ...o,
    maxLength,
    ...(model.chatTemplate !== undefined && { chatTemplate: model.chatTemplate }),
    ...(config.eosTokenIds[0] !== undefined &&
      tokenizer.eosId === undefined && { eosId: config.eosTokenIds[0] }),
  };
  const train = await loadDataset(o.data, tokenizer, dataOptions);
  const held = o.evalData && (await loadDataset(o.evalData, tokenizer, { ...dataOptions, packing: false }));
  const plan = planOf(train, { ...o, maxLength });
  const optimizer = optimizers[o.optimizer](o);
  if (o.memoryCheck ?? true) checkMemory(stepSize(model, trainable, optimizer, train, batchSize));
  const totalSteps = o.maxSteps ?? Math.max(1, Math.ceil(o.numEpochs * plan.stepsPerEpoch));
  const every = Math.max(1, Math.ceil(totalSteps / 10));
  const warmupSteps = options.warmupSteps ?? Math.ceil((options.warmupRatio ?? 0) * totalSteps);
  const loadBest = (options.loadBestModelAtEnd ?? true) && held !== undefined;

  const run = o.outputDir === undefined ? undefined : await openRun<LoopState>(o.outputDir, o);
  const fingerprint = { ...plan.fingerprint, ...courseOf(o, totalSteps, warmupSteps) };
  const from = await run?.resume(fingerprint);
  if (from && from.step > totalSteps) {
    await run?.close();
    throw new TrainError(
      `the run is at step ${from.state.step} already, beyond the ${totalSteps} that are asked for; raise max_steps`,
    );
  }
  onStart?.({ train, ...(held && { eval: held }), tokenizer, totalSteps, step: from?.state.step ?? 0 });
  const engine =
    o.engine ??
    (await createEngine({
      ...(o.provider !== undefined && { provider: o.provider }),
      ...(o.threads !== undefined && { threads: o.threads }),
    }));
  let bestInMemory: Record<string, HostArray> | undefined;
  const frozen = await frozenIn(engine, trainable);
  try {
    const result = await trainLoop({
      engine,
      loss: withFrozen(languageModelLoss(config, { accuracy: true }), trainable),
      optimizer,
      ...(o.maxGradNorm > 0 && { maxGradNorm: o.maxGradNorm }),
      parameters: from ? trainable.trainedOf(await from.model()) : trainable.parameters,
      batchSpec: frozen.spec(batchSpec(train.packed)),
      accumulate: gradientAccumulation > 1,
      totalSteps,
      learningRate: schedule(o.lrSchedulerType, o.learningRate, { totalSteps, warmupSteps }),
      batchAt: (step) => {
        const batch = plan.batchAt(step);
        return { ...batch, micro: batch.micro.map(frozen.batch) };
      },
      ...(held && {
        evaluate: await labelEvaluator(
          engine,
          model,
          held,
          o.evalBatchSize ?? batchSize,
          trainable,
          packing(specsOf(trainable.parameters), optimizer.groupOf),
          frozen,
        ),
      }),
      evalSteps: o.evalSteps ?? every,
      metricForBest: o.metricForBest,
      greaterIsBetter: !o.metricForBest.endsWith("loss"),
      ...(o.earlyStoppingPatience !== undefined && held && { patience: o.earlyStoppingPatience }),
      saveSteps: o.saveSteps ?? every,
      ...(run && {
        save: async (snapshot) =>
          run.save(
            snapshot.state.step,
            {
              models: { model: trainable.modelWith(await snapshot.parameters()) },
              state: snapshot.state,
              arrays: await snapshot.optimizer(),
            },
            fingerprint,
          ),
      }),
      ...(loadBest && {
        saveBest: async (snapshot) => {
          const parameters = await snapshot.parameters();
          if (run) await trainable.modelWith(parameters).save(join(run.dir, "best"));
          else bestInMemory = parameters;
        },
      }),
      report: async (report) => {
        await run?.log(report.step, report.metrics);
        await onStep?.(report);
      },
      ...(from && { from: { state: from.state, optimizer: from.arrays } }),
      ...(signal && { signal }),
      rescue: () => run?.lastCheckpoint() ?? "there is no checkpoint, since there is no output folder",
    });
    const isEarlier = result.state.best !== undefined && result.state.best.step < result.state.step;
    let final = trainable.modelWith(result.parameters);
    if (loadBest && isEarlier && result.reason !== "stopped")
      final = run
        ? trainable.modelWith(trainable.trainedOf(await loadModel(join(run.dir, "best"))))
        : trainable.modelWith(bestInMemory ?? result.parameters);
    if (run && result.reason !== "stopped") await final.save(join(run.dir, "model"));
    return {
      model: final,
      metrics: result.metrics,
      ...(result.state.best && { best: result.state.best }),
      steps: result.state.step,
      reason: result.reason,
    };
  } finally {
    await frozen.free();
    await run?.close();
    if (!o.engine) await engine.dispose();
  }
}

/** What else must be the same when a run goes on: how it was optimised, and towards which end its rate falls. */
const courseOf = (
  {
    learningRate,
    lrSchedulerType,
    optimizer,
    weightDecay,
    maxGradNorm,
  }: Required<
    Pick<SftOptions, "learningRate" | "lrSchedulerType" | "optimizer" | "weightDecay" | "maxGradNorm">
  >,
  totalSteps: number,
  warmupSteps: number,
): Record<string, number | string | boolean> => ({
  learningRate,
  lrSchedulerType,
  warmupSteps,
  optimizer,
  weightDecay,
  maxGradNorm,
  ...(!lrSchedulerType.startsWith("constant") && { totalSteps }),
});

/** Options that were given, without those that are undefined, so that defaults hold. */
const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;

function checkLength(asked: number | undefined, maxPositions: number): number {
  if (asked !== undefined && asked > maxPositions)
    throw new TrainError(`max_length ${asked}: the model's context is ${maxPositions} tokens; lower it`);
  return asked ?? Math.min(sftDefaults.maxLength, maxPositions);
}
