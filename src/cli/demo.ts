/** `attune demo`, which is `npm start`: its options and help; the work is in demo-run.ts. */
import type { Command } from "commander";
import { lazily } from "./command.ts";
import { positiveInteger, wholeNumber } from "./options.ts";

export function register(program: Command): void {
  program
    .command("demo")
    .description("train a tokenizer and a small model from nothing on stories of a made-up town (npm start)")
    .option("--output <dir>", "folder of the run; replaced when it is there", "runs/demo")
    .option("--steps <n>", "training steps", positiveInteger, 600)
    .option("--stories <n>", "stories to train on", positiveInteger, 1200)
    .option("--seed <n>", "seed of stories, weights and samples", wholeNumber, 1)
    .action(lazily(async () => (await import("./demo-run.ts")).runDemo));
}
