/** `attune merge`: its options and help; the work is in merge-run.ts. */
import { type Command, Option } from "commander";
import { lazily } from "../command.ts";
import { addOutputOptions } from "../output.ts";

export function register(program: Command): void {
  const command = program
    .command("merge")
    .description("work an adapter (LoRA) into its model, which becomes a model of its own")
    .requiredOption("--adapter <dir>", "adapter folder, run folder or hub id");
  addOutputOptions(command, "folder of the merged model")
    .option("--model <dir>", "model to adapt (default: the one that the adapter names)")
    .addOption(
      new Option("--dtype <name>", "how weights are stored")
        .choices(["float32", "float16", "bfloat16"])
        .default("float32"),
    )
    .action(lazily(async () => (await import("./merge-run.ts")).runMerge));
}
