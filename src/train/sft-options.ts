/**
 * The options of supervised fine-tuning: names and defaults of TRL's SFTConfig in camelCase, where there is no reason
 * to differ.
 */
import type { DatasetOptions, SftData } from "../data/dataset.ts";
import type { Engine, Provider } from "../graph/index.ts";
import type { LoraOptions } from "../models/adapters/lora.ts";
import type { Model } from "../models/load.ts";
import type { ScheduleName } from "../optim/index.ts";

export interface SftOptions
  extends Partial<Pick<DatasetOptions, "maxLength" | "packing" | "truncation" | "separator" | "onBadRow">>,
    Pick<DatasetOptions, "completionOnlyLoss" | "assistantOnlyLoss" | "chatTemplate"> {
  readonly model: Model;
  /** Files (.txt, .jsonl, .json, each also .gz), or rows. */
  readonly data: SftData;
  /** Held-out rows in the same forms. */
  readonly evalData?: SftData;
  /** The run's folder: metrics.jsonl, checkpoints, best and final model. Without it nothing is written. */
  readonly outputDir?: string;
  readonly learningRate?: number;
  readonly lrSchedulerType?: ScheduleName;
  readonly warmupSteps?: number;
  /** A share of all steps; `warmupSteps` wins. */
  readonly warmupRatio?: number;
  /** Rows of a micro-batch, which is what memory pays for. */
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
  readonly optimizer?: "adamw" | "adam" | "sgd";
  readonly adamBeta1?: number;
  readonly adamBeta2?: number;
  readonly adamEpsilon?: number;
  readonly momentum?: number;
  readonly seed?: number;
  /** Rows of like length share a batch, which saves padding. */
  readonly groupByLength?: boolean;
  readonly evalBatchSize?: number;
  /** Updates between evaluations; by default ten a run. */
  readonly evalSteps?: number;
  /** Updates between checkpoints; by default ten a run. */
  readonly saveSteps?: number;
  /** Checkpoints that are kept. */
  readonly saveTotalLimit?: number;
  /** Evaluations without improvement after which training stops. */
  readonly earlyStoppingPatience?: number;
  /** A metric of the evaluation: eval_loss or eval_mean_token_accuracy. */
  readonly metricForBest?: string;
  /** End with the best model instead of the last one. Default: when there is `evalData`. */
  readonly loadBestModelAtEnd?: boolean;
  /** Go on from the newest checkpoint in `outputDir`. */
  readonly resume?: boolean;
  /** Replace a run that is in `outputDir`. */
  readonly overwrite?: boolean;
  /** Refuse to start when a step is estimated not to fit into memory. Default true. */
  readonly memoryCheck?: boolean;
  /** Where the graph runs; by default ONNX Runtime in this process. */
  readonly engine?: Engine;
  readonly provider?: Provider;
  readonly threads?: number;
}

/** Defaults, as the help texts print them. */
export const sftDefaults = {
  learningRate: 2e-5,
  lrSchedulerType: "linear",
  warmupSteps: 0,
  batchSize: 8,
  gradientAccumulation: 1,
  numEpochs: 3,
  maxLength: 1024,
  maxGradNorm: 1,
  weightDecay: 0,
  optimizer: "adamw",
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  momentum: 0.9,
  seed: 42,
  saveTotalLimit: 2,
  metricForBest: "eval_loss",
} as const satisfies Partial<SftOptions>;
