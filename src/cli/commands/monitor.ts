/** `attune monitor`: its options and help; the work is in monitor-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, positiveNumber, repeated } from "../options.ts";

export function register(program: Command): void {
  program
    .command("monitor")
    .description(
      "how often the monitor's alarms are false, and how often they are right, on runs that were watched",
    )
    .option(
      "--clean <dir>",
      "a run without hacking, such as one that optimises the gold reward itself; may be given again",
      repeated,
    )
    .option("--hacked <dir>", "a run whose reward was hacked; may be given again", repeated)
    .option(
      "--baseline <n>",
      "steps at the start that later ones are held against (default: 8)",
      positiveInteger,
    )
    .option("--window <n>", "steps whose mean is held against them (default: 8)", positiveInteger)
    .option("--threshold <x>", "standard errors that a signal may go (default: 6)", positiveNumber)
    .addHelpText(
      "after",
      "\nA run is watched when its stage has the key monitor; every monitor.jsonl below the folders counts as one run.\nAn alarm whose signal was recorded at fewer steps than baseline and window together is not known.",
    )
    .action(lazily(async () => (await import("./monitor-run.ts")).runMonitor));
}
