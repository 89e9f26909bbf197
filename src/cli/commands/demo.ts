/** `attune demo`, which is `npm start`: its options and help; the work is in demo-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { wholeNumber } from "../options.ts";

export function register(program: Command): void {
  program
    .command("demo")
    .description("the whole pipeline on the built-in world, and its report: what npm start does")
    .option("--output <dir>", "folder of the run", "runs/world")
    .option("--seed <n>", "of everything that is drawn (default: the recipe's)", wholeNumber)
    .argument("[fields...]", "fields of recipes/world.yaml: --ppo.kl_coef 0.1")
    .allowUnknownOption()
    .allowExcessArguments()
    .action(lazily(async () => (await import("./demo-run.ts")).runDemo));
}
