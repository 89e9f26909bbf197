/** `attune report`: its options and help; the work is in report-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";

export function register(program: Command): void {
  program
    .command("report")
    .description("write the report of a run again, from the files in its folder: one HTML page")
    .argument("<dir>", "folder of a run: of a recipe, or of one trainer")
    .option("--output <file>", "where it goes (default: report.html in the folder)")
    .action(lazily(async () => (await import("./report-run.ts")).runReport));
}
