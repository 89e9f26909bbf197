/** `attune sft`: its options and help; the work is in sft-run.ts. */
import { type Command, Option } from "commander";
import { truncations } from "../data/truncation.ts";
import { scheduleNames } from "../optim/schedules.ts";
import { sftDefaults as d } from "../train/sft-options.ts";
import { lazily } from "./command.ts";
import { addLoraOptions } from "./lora-options.ts";
import {
  fraction,
  nonNegativeNumber,
  positiveInteger,
  positiveNumber,
  repeated,
  wholeNumber,
} from "./options.ts";

export function register(program: Command): void {
  const command = program
    .command("sft")
    .description("fine-tune a model on text, on prompts and completions, or on conversations")
    .requiredOption("--model <dir>", "model folder or hub id (org/name[@revision])")
    .requiredOption(
      "--data <file>",
      "rows to train on: .txt, .jsonl, .json, each also .gz; may be repeated",
      repeated,
    )
    .requiredOption("--output <dir>", "folder of the run: model, best, checkpoints, metrics.jsonl")
    .option("--eval-data <file>", "held-out rows; may be repeated", repeated)
    .option("--separator <text>", "what stands between the documents of a text file (default: a file is one)")
    .addOption(
      new Option("--on-bad-row <what>", "rows that cannot be used")
        .choices(["error", "skip"])
        .default("error"),
    )
    .option("--max-length <n>", "tokens of a row (default: 1024, or the model's context)", positiveInteger)
    .addOption(
      new Option(
        "--truncation <how>",
        "rows that are longer (default: split for text, else keep_start)",
      ).choices([...truncations]),
    )
    .option("--packing", "several rows share one, without seeing each other")
    .option("--no-completion-only-loss", "the prompt counts in the loss too")
    .option("--assistant-only-loss", "in conversations only what the assistant says counts")
    .option(
      "--chat-template <name>",
      "for conversations: chatml, human-assistant, plain, or a file (default: the model's)",
    )
    .option("--learning-rate <x>", "peak learning rate", positiveNumber, d.learningRate)
    .addOption(
      new Option("--lr-scheduler-type <name>", "its course")
        .choices([...scheduleNames])
        .default(d.lrSchedulerType),
    )
    .option("--warmup-steps <n>", "steps in which it rises from 0 (default: 0)", wholeNumber)
    .option("--warmup-ratio <x>", "the same as a share of all steps", fraction)
    .option("--batch-size <n>", "rows of a micro-batch", positiveInteger, d.batchSize)
    .option("--gradient-accumulation <n>", "micro-batches of a step", positiveInteger, d.gradientAccumulation)
    .option("--num-epochs <x>", "times that the data is seen", positiveNumber, d.numEpochs)
    .option("--max-steps <n>", "steps; wins over --num-epochs", positiveInteger)
    .option(
      "--max-grad-norm <x>",
      "gradients are scaled down to this norm; 0: never",
      nonNegativeNumber,
      d.maxGradNorm,
    )
    .option("--weight-decay <x>", "weight decay", nonNegativeNumber, d.weightDecay)
    .addOption(
      new Option("--optimizer <name>", "optimizer").choices(["adamw", "adam", "sgd"]).default(d.optimizer),
    )
    .option("--adam-beta1 <x>", "decay of the mean of gradients", fraction, d.adamBeta1)
    .option("--adam-beta2 <x>", "decay of the mean of their squares", fraction, d.adamBeta2)
    .option("--adam-epsilon <x>", "added to its root", positiveNumber, d.adamEpsilon)
    .option("--momentum <x>", "momentum of sgd", fraction, d.momentum)
    .option("--seed <n>", "order of the rows", wholeNumber, d.seed)
    .option("--no-group-by-length", "rows of a batch are chosen whatever their length")
    .option(
      "--eval-batch-size <n>",
      "rows of a batch of held-out rows (default: --batch-size)",
      positiveInteger,
    )
    .option("--eval-steps <n>", "steps between evaluations (default: a tenth of all)", positiveInteger)
    .option("--save-steps <n>", "steps between checkpoints (default: a tenth of all)", positiveInteger)
    .option("--save-total-limit <n>", "checkpoints that are kept", positiveInteger, d.saveTotalLimit)
    .option(
      "--early-stopping-patience <n>",
      "stop after so many evaluations without a better one",
      positiveInteger,
    )
    .option("--metric-for-best <name>", "what says which model is best", d.metricForBest)
    .option("--no-load-best-model-at-end", "end with the last model, not with the best one")
    .option("--no-memory-check", "start even when a step seems not to fit into memory")
    .option("--resume", "go on from the newest checkpoint in --output")
    .option("--overwrite", "replace the run in --output");
  addLoraOptions(command).action(lazily(async () => (await import("./sft-run.ts")).runSft));
}
