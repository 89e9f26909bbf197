/**
 * The options that all trainers share: names and defaults of TRL's and transformers' trainers in camelCase, where
 * there is no reason to differ.
 */
import type { Engine, Provider } from "../../graph/index.ts";
import type { LoraOptions } from "../../models/adapters/lora.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import {
  adam,
  adamw,
  lion,
  lionBetas,
  type Optimizer,
  type ScheduleName,
  sgd,
  withAverage,
  withLossScale,
} from "../../optim/index.ts";
import { TrainError } from "../errors.ts";
import type { StepReport } from "./loop.ts";
import type { MemoryCheck } from "./memory.ts";
import type { Loss } from "./step.ts";

/**
 * A loss in place of the trainer's own, over the model's parameters and the trainer's batch. It is divided by
 * `batch.num_items`, the items (labels, pairs) of all micro-batches of a step, so that those add up.
 *
 * @example
 * // a little of the squared hidden norm beside the usual loss
 * const loss: CustomLoss = (params, batch, { usual }) => {
 *   const { loss, metrics } = usual(params, batch);
 *   return { loss: add(loss, mul(penalty(params), 1e-3)), ...(metrics && { metrics }) };
 * };
 */
export type CustomLoss = (
  params: Parameters<Loss>[0],
  batch: Parameters<Loss>[1],
  context: { readonly config: ModelConfig; readonly usual: Loss },
) => ReturnType<Loss>;

export interface TrainerOptions {
  /** The run's folder: metrics.jsonl, checkpoints, best and final model. Without it nothing is written. */
  readonly outputDir?: string;
  readonly learningRate?: number;
  readonly lrSchedulerType?: ScheduleName;
  readonly warmupSteps?: number;
  /** A share of all steps; `warmupSteps` wins. */
  readonly warmupRatio?: number;
  /** Rows (or pairs) of a micro-batch, which is what memory pays for. */
  readonly batchSize?: number;
  /** Micro-batches of one update. */
  readonly gradientAccumulation?: number;
  readonly numEpochs?: number;
  /** Updates; wins over `numEpochs`. */
  readonly maxSteps?: number;
  /** 0 turns clipping off. */
  readonly maxGradNorm?: number;
  readonly weightDecay?: number;
  /** Trains an adapter instead of the whole model; `{}` for one with the defaults. */
  readonly lora?: LoraOptions;
  readonly optimizer?: OptimizerName;
  readonly adamBeta1?: number;
  readonly adamBeta2?: number;
  readonly adamEpsilon?: number;
  readonly lionBeta1?: number;
  readonly lionBeta2?: number;
  readonly momentum?: number;
  /**
   * Keeps a moving average of the weights with this decay, 0.999 say: it is what is evaluated and what the run gives;
   * the last weights are saved beside it, in `last`. Default: none.
   */
  readonly emaDecay?: number;
  /** Of the rows' order and of what is drawn at the start. */
  readonly seed?: number;
  /** Rows of like length share a batch, which saves padding. Default true. */
  readonly groupByLength?: boolean;
  /** Rows of a batch of held-out rows; by default `batchSize`. */
  readonly evalBatchSize?: number;
  /** Updates between evaluations; by default ten a run. */
  readonly evalSteps?: number;
  /** Updates between checkpoints; by default ten a run. */
  readonly saveSteps?: number;
  /** Checkpoints that are kept. */
  readonly saveTotalLimit?: number;
  /** Evaluations without improvement after which training stops. Needs held-out rows. */
  readonly earlyStoppingPatience?: number;
  /** A metric of the evaluation, such as eval_loss; those that end in "loss" are better when smaller. */
  readonly metricForBest?: string;
  /** End with the best model instead of the last one. Default: when there are held-out rows. */
  readonly loadBestModelAtEnd?: boolean;
  /** Go on from the newest checkpoint in `outputDir`. */
  readonly resume?: boolean;
  /** Replace a run that is in `outputDir`. */
  readonly overwrite?: boolean;
  /** The backward pass computes each layer again from its input instead of keeping its inner values. */
  readonly gradientCheckpointing?: boolean;
  /** Rows of logits that are in memory at a time, forward and backward; by default all, "auto" for about 64 MB of them. */
  readonly logitsChunkSize?: number | "auto";
  /**
   * Products in half precision, forward and backward, with weights in single precision and a scale of the loss that
   * adapts itself; where the provider has such products (WebGPU, CUDA).
   */
  readonly fp16?: boolean;
  /** Refuse to start when a step is estimated not to fit into memory. Default true. A function is told the bytes instead. */
  readonly memoryCheck?: MemoryCheck;
  /** In place of the trainer's own loss. */
  readonly loss?: CustomLoss;
  /** Where the graph runs; by default ONNX Runtime in this process. */
  readonly engine?: Engine;
  readonly provider?: Provider;
  readonly threads?: number;
}

/** Defaults, as the help texts print them. */
export const trainerDefaults = {
  learningRate: 2e-5,
  lrSchedulerType: "linear",
  batchSize: 8,
  gradientAccumulation: 1,
  numEpochs: 3,
  maxGradNorm: 1,
  weightDecay: 0,
  optimizer: "adamw",
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  lionBeta1: lionBetas[0],
  lionBeta2: lionBetas[1],
  momentum: 0.9,
  seed: 42,
  groupByLength: true,
  saveTotalLimit: 2,
  metricForBest: "eval_loss",
  gradientCheckpointing: false,
  memoryCheck: true,
} as const satisfies Partial<TrainerOptions>;

/** What a caller of a trainer listens to; `Start` is what will be trained on. */
export interface TrainerHooks<Start> {
  /** Ends training after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Before the first step. */
  readonly onStart?: (start: Start) => void;
  readonly onStep?: (report: StepReport) => void | Promise<void>;
  /** Something that a person should know, in one sentence. */
  readonly onWarning?: (text: string) => void;
}

/** Where a run begins: steps and tokens that are behind it when it is resumed, and all its steps. */
export interface Course {
  readonly totalSteps: number;
  readonly step: number;
  /** `num_tokens` at the start; a rate counts from here. */
  readonly tokens: number;
}

/** The options over defaults; an option that is `undefined` was not given. */
export function withDefaults<D extends object, O extends object>(
  defaults: D,
  options: O,
): O & { [K in keyof D]: K extends keyof O ? Exclude<O[K], undefined> : D[K] } {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) } as never;
}

type OptimizerOptions = Readonly<
  Record<
    "adamBeta1" | "adamBeta2" | "adamEpsilon" | "lionBeta1" | "lionBeta2" | "momentum" | "weightDecay",
    number
  >
> &
  EpsilonPlacement;

/** Where Adam's epsilon stands, for trainers that let one choose. */
interface EpsilonPlacement {
  readonly epsilonPlacement?: "pytorch" | "tensorflow" | undefined;
}

const optimizers = {
  adamw: (o) => adamw(adamOptions(o)),
  adam: (o) => adam(adamOptions(o)),
  lion: ({ lionBeta1, lionBeta2, weightDecay }) => lion({ betas: [lionBeta1, lionBeta2], weightDecay }),
  sgd: ({ momentum, weightDecay }) => sgd({ momentum, weightDecay }),
} satisfies Record<string, (o: OptimizerOptions) => Optimizer>;

export type OptimizerName = keyof typeof optimizers;
export const optimizerNames = Object.keys(optimizers) as [OptimizerName, ...OptimizerName[]];

const adamOptions = (o: OptimizerOptions) => ({
  betas: [o.adamBeta1, o.adamBeta2] as const,
  eps: o.adamEpsilon,
  weightDecay: o.weightDecay,
  ...(o.epsilonPlacement && { epsilonPlacement: o.epsilonPlacement }),
});

/** The optimiser that the options name, with a moving average of the weights where they ask for one. */
export function optimizerOf(options: TrainerOptions & EpsilonPlacement): Optimizer {
  const o = withDefaults(trainerDefaults, options);
  const plain = optimizers[o.optimizer](o);
  const optimizer = o.emaDecay === undefined ? plain : withAverage(plain, o.emaDecay);
  return o.fp16 ? withLossScale(optimizer) : optimizer;
}

const atLeastOne = [
  "logitsChunkSize",
  "batchSize",
  "gradientAccumulation",
  "maxSteps",
  "evalBatchSize",
  "evalSteps",
  "saveSteps",
  "saveTotalLimit",
  "earlyStoppingPatience",
] as const;
const notNegative = ["learningRate", "warmupSteps", "warmupRatio", "weightDecay", "maxGradNorm"] as const;

/** @throws TrainError where held-out rows are to end the training and there are none */
export function checkEarlyStopping(
  { earlyStoppingPatience }: Pick<TrainerOptions, "earlyStoppingPatience">,
  hasHeldOut: boolean,
): void {
  if (earlyStoppingPatience !== undefined && !hasHeldOut)
    throw new TrainError(
      "early_stopping_patience: held-out rows are required, there are none; give eval_data, or leave it out",
    );
}

/** Providers with products in half precision. */
const halfProviders: readonly Provider[] = ["webgpu", "cuda"];

/** @throws TrainError where half precision is asked for and the provider has none */
export function checkHalf({ fp16 }: Pick<TrainerOptions, "fp16">, provider: Provider): void {
  if (fp16 && !halfProviders.includes(provider))
    throw new TrainError(
      `fp16: a provider with products in half precision is required (${halfProviders.join(" or ")}), got ${provider}; ` +
        "choose another with --provider, or leave it out",
    );
}

/**
 * Refuses figures that cannot be meant, under the names of recipes.
 *
 * @throws TrainError with the option, what it needs and what came
 */
export function checkOptions(options: TrainerOptions): void {
  const refuse = (name: keyof TrainerOptions, required: string) => {
    const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    throw new TrainError(`${key}: ${required} is required, got ${String(options[name])}`);
  };
  for (const name of atLeastOne) {
    const value = options[name];
    if (value === undefined || (name === "logitsChunkSize" && value === "auto")) continue;
    if (!(Number.isInteger(value) && Number(value) >= 1))
      refuse(name, `a whole number of at least 1${name === "logitsChunkSize" ? ', or "auto",' : ""}`);
  }
  for (const name of notNegative) {
    const value = options[name];
    if (value !== undefined && !(value >= 0 && Number.isFinite(value)))
      refuse(name, "a number of at least 0");
  }
  if (options.emaDecay !== undefined && !(options.emaDecay >= 0 && options.emaDecay < 1))
    refuse("emaDecay", "a number of at least 0 and below 1");
  if (options.numEpochs !== undefined && !(options.numEpochs > 0)) refuse("numEpochs", "a number above 0");
}
