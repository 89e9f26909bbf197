/** `attune run`: its options and help; the work is in run-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";

export function register(program: Command): void {
  program
    .command("run")
    .description("run a recipe: its stages in order, every one measured, and a report at the end")
    .argument("[recipe]", "a YAML file, or one in the box: world, tinystories, hh, algorithms/ppo")
    .argument("[fields...]", "fields of the recipe: --ppo.kl_coef 0.05 --seed 7")
    .option("--resume <dir>", "go on with the run in this folder")
    .option("--overwrite", "replace the run in the recipe's folder")
    .option("--check", "say what is wrong with the recipe, or nothing, and run nothing")
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText(
      "after",
      "\nA field is a stage's name and a key, or a key of the recipe: --ppo.kl_coef 0.05 --sft.model DIR --seed 7 --output_dir runs/x",
    )
    .action(lazily(async () => (await import("./run-run.ts")).runRun));
}
