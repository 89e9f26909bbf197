/** `attune label`: its options and help; the work is in label-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, wholeNumber } from "../options.ts";

export function register(program: Command): void {
  program
    .command("label")
    .description("label preference pairs by a judge, asked in both orders")
    .requiredOption(
      "--judge <spec>",
      "world, http://host/v1#model, the folder of a model or reward model, or reward:SPEC",
    )
    .requiredOption(
      "--data <file>",
      "pairs: prompt with response_1 and response_2, or preferences of any format",
    )
    .requiredOption("--output <file>", "the .jsonl file of labelled pairs")
    .option("--template <file>", "the question, with {prompt}, {first} and {second}")
    .option(
      "--retries <n>",
      "how often an answer that is neither A nor B is asked for again (default: 2)",
      wholeNumber,
    )
    .option(
      "--concurrency <n>",
      "questions to an endpoint that are open at the same time (default: 8)",
      positiveInteger,
    )
    .option("--key-env <name>", "environment variable with the endpoint's key (default: OPENAI_API_KEY)")
    .option("--max-rows <n>", "label only the first of them", positiveInteger)
    .option("--drop-ties", "leave out pairs of which the judge prefers neither")
    .option("--overwrite", "replace the file if it is there")
    .addHelpText(
      "after",
      `
A pair is asked about twice, with its responses in both orders. Answers that are neither A nor B are counted and asked
for again; pairs that stay without one are left out, and where none is left that is an error. Where the data has labels,
the agreement with them is told; a tie counts half.

Example:
  attune label --judge https://api.example.com/v1#some-model --data pairs.jsonl --output labelled.jsonl --json`,
    )
    .action(lazily(async () => (await import("./label-run.ts")).runLabel));
}
