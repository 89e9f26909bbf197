/** `attune chat`: its options and help; the work is in chat-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { addSamplingOptions } from "../sampling.ts";

export function register(program: Command): void {
  const command = program
    .command("chat")
    .description("talk with a model; an empty line or Ctrl-D ends, /reset begins anew")
    .requiredOption("--model <dir>", "model folder or hub id (org/name[@revision])")
    .option("--system <text>", "what the model is told first")
    .option("--chat-template <name>", "chatml, human-assistant, plain, or a file (default: the model's)");
  addSamplingOptions(command, { maxNewTokens: 256 }).action(
    lazily(async () => (await import("./chat-run.ts")).runChat),
  );
}
