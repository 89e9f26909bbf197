/** `attune score`: its options and help; the work is in score-run.ts. */
import { type Command, Option } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, repeated } from "../options.ts";

export function register(program: Command): void {
  program
    .command("score")
    .description("score responses with a reward model, or with any other reward")
    .option("--model <dir>", "reward model: folder or hub id (org/name[@revision])")
    .option("--reward <spec>", "another reward; may be repeated, for their sum", repeated)
    .option("--data <file>", "rows with text, with prompt and completion, or with messages")
    .option("--batch-size <n>", "rows that are scored together", positiveInteger, 32)
    .addOption(
      new Option(
        "--attribute [method]",
        "a value of each token for the score of --model: gradient (times input), or leave_one_out (the score less that without it); neither adds up to the score",
      )
        .choices(["gradient", "leave_one_out"])
        .preset("gradient"),
    )
    .option("--list-rules", "the rules that --reward knows, with their options")
    .addHelpText(
      "after",
      `
A reward is one of
  runs/rm                         a reward model
  rule:length_band?min=5&max=30   a rule (--list-rules)
  ./mine.ts#name                  a function that a module exports
  http://host:5000/get_reward     a server that speaks OpenRLHF's format
  world:gold                      the scorer of the built-in world
and 0.5*SPEC gives it a weight.

Example:
  attune score --reward 'rule:length_band?max=40' --reward '-1*rule:exclamation' --data responses.jsonl --json`,
    )
    .action(lazily(async () => (await import("./score-run.ts")).runScore));
}
