/** `attune eval ...`: measures of models; each is a command below it. */
import type { Command } from "commander";
import { lazily } from "./command.ts";
import { positiveInteger } from "./options.ts";

export function register(program: Command): void {
  const evaluate = program.command("eval").description("measure a model");
  evaluate
    .command("perplexity")
    .description("perplexity of a text file (one document) or of the rows of JSON lines with a column text")
    .requiredOption("--model <dir>", "model folder or hub id (org/name[@revision])")
    .requiredOption("--data <file>", ".txt, .jsonl or .json, each also .gz")
    .option(
      "--context-length <n>",
      "tokens of a window; windows begin half of it apart (default: the model's context)",
      positiveInteger,
    )
    .option("--per-token", "with --json: ids and negative log-likelihoods (nats) of every row")
    .action(lazily(async () => (await import("./eval-run.ts")).runPerplexity));
}
