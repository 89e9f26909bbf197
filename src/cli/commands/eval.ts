/** `attune eval ...`: measures of models; each is a command below it. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, positiveNumber, repeated, wholeNumber } from "../options.ts";

export function register(program: Command): void {
  const evaluate = program
    .command("eval")
    .description("measure a model, or several by a suite")
    .argument("[suite]", "a suite (a YAML file): the same as eval suite FILE")
    .action(lazily(async () => (await import("./eval-suite-run.ts")).runEvalSuite));
  evaluate
    .command("suite")
    .description(
      "many measures of several models on the same prompts, from one YAML file: one JSON and one page; rows that an earlier run left are used again",
    )
    .argument("<file>", "the suite, as recipes/suites/world.yaml")
    .option("--output <dir>", "where the figures go (default: runs/suites/NAME)")
    .option("--overwrite", "measure everything again")
    .option("--check", "say what is wrong with the suite, or nothing, and measure nothing")
    .action(lazily(async () => (await import("./eval-suite-run.ts")).runEvalSuite));
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
  evaluate
    .command("kl")
    .description("KL divergence between two models in both directions, in nats per token and per response")
    .requiredOption("--model <dir>", "model folder or hub id")
    .requiredOption("--reference <dir>", "the model to compare with; it has the same tokenizer")
    .requiredOption(
      "--data <file>",
      "rows with prompt and completion, messages or text: along these; with prompts alone: along each model's own samples",
    )
    .option("--max-new-tokens <n>", "tokens of a sample", positiveInteger, 64)
    .option("--temperature <t>", "of both models", positiveNumber, 1)
    .option("--seed <n>", "of samples and intervals", wholeNumber, 42)
    .option("--max-rows <n>", "use the first rows alone", positiveInteger)
    .action(lazily(async () => (await import("./eval-kl-run.ts")).runKl));
  evaluate
    .command("responses")
    .description(
      "length, variety and repetition of responses; what a reward says of them, and against others",
    )
    .requiredOption("--data <file>", "rows with prompt and completion, messages or text")
    .option("--reward <spec>", "a reward, as attune score takes it; may be repeated, for their sum", repeated)
    .option(
      "--against <file>",
      "responses to the same prompts, for a win rate by the reward; ties count half",
    )
    .option("--seed <n>", "of the intervals", wholeNumber, 42)
    .action(lazily(async () => (await import("./eval-responses-run.ts")).runResponses));
}
