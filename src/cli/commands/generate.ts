/** `attune generate`: its options and help; the work is in generate-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, repeated } from "../options.ts";
import { addSamplingOptions } from "../sampling.ts";

export function register(program: Command): void {
  const command = program
    .command("generate")
    .description("continue prompts")
    .requiredOption("--model <dir>", "model folder or hub id (org/name[@revision])")
    .option("--prompt <text>", "a prompt; may be repeated", repeated)
    .option(
      "--prompts <file>",
      "prompts: a line each, or .jsonl with prompt (text or messages), messages or text",
    )
    .option("--chat", "a prompt is the user's message in a conversation")
    .option("--chat-template <name>", "chatml, human-assistant, plain, or a file (default: the model's)")
    .option("--n <n>", "completions of each prompt", positiveInteger, 1)
    .option("--best-of <n>", "of n completions each, the one that --reward scores best", positiveInteger)
    .option(
      "--reward <spec>",
      "what scores completions: a reward model, ./module.ts, rule:NAME, a URL, a sum",
    )
    .option("--batch-size <n>", "completions that are computed together", positiveInteger, 64);
  addSamplingOptions(command, { maxNewTokens: 64 }).action(
    lazily(async () => (await import("./generate-run.ts")).runGenerate),
  );
}
