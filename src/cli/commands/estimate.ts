/** `attune estimate`: its options and help; the work is in estimate-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";

export function register(program: Command): void {
  program
    .command("estimate")
    .description("say how much memory and time a recipe will take, from a few steps of each stage")
    .argument("[recipe]", "a YAML file, or one in the box: world, tinystories, hh, algorithms/ppo")
    .argument("[fields...]", "fields of the recipe: --ppo.response_length 128 --seed 7")
    .option("--no-probe", "memory alone, without any step")
    .option("--probe-seconds <x>", "seconds of steps for each stage, once there are enough (default: 4)")
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText(
      "after",
      "\nThe stages begin for real, in a folder that is thrown away: with their data, options and shapes, and with new weights in place of models that earlier stages would have trained. Rewards are asked as in the run, a server too.",
    )
    .action(lazily(async () => (await import("./estimate-run.ts")).runEstimate));
}
