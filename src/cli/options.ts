/**
 * What every command shares on the command line: the global options and the parsers of option values.
 * A parser throws commander's `InvalidArgumentError`, which ends in exit code 2 with the option's name.
 */
import { type Command, InvalidArgumentError, Option } from "commander";

/** Execution providers that a user may name; the runtime says which of them this machine has. */
export const providers = ["cpu", "webgpu", "cuda"] as const;
export type ProviderName = (typeof providers)[number];

/** The options of every command, as commander hands them over. */
export interface GlobalOptions {
  readonly json?: boolean;
  readonly threads?: number;
  readonly provider: ProviderName;
  readonly quiet?: boolean;
  readonly debug?: boolean;
}

export function addGlobalOptions(program: Command): Command {
  return program
    .option("--json", "one JSON value on standard output, everything else on standard error")
    .option("--threads <n>", "threads of the CPU provider (default: all physical cores)", positiveInteger)
    .addOption(
      new Option("--provider <name>", "execution provider").choices([...providers]).default("cpu" as const),
    )
    .option("--quiet", "no progress and no notes, only results, warnings and errors")
    .option("--debug", "stack traces with error messages");
}

function numberFrom(text: string, required: string, accepts: (value: number) => boolean): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!accepts(value)) throw new InvalidArgumentError(`${required} is required.`);
  return value;
}

/** Option parser: 1, 2, 3, ... */
export const positiveInteger = (text: string): number =>
  numberFrom(text, "A whole number of at least 1", (value) => Number.isSafeInteger(value) && value >= 1);

/** Option parser: 0, 1, 2, ... */
export const wholeNumber = (text: string): number =>
  numberFrom(text, "A whole number of at least 0", (value) => Number.isSafeInteger(value) && value >= 0);

/** Option parser: a finite number above 0. */
export const positiveNumber = (text: string): number =>
  numberFrom(text, "A number above 0", (value) => Number.isFinite(value) && value > 0);

/** Option parser: a finite number of at least 0. */
export const nonNegativeNumber = (text: string): number =>
  numberFrom(text, "A number of at least 0", (value) => Number.isFinite(value) && value >= 0);

/** Option parser: a number from 0 to 1, both included. */
export const fraction = (text: string): number =>
  numberFrom(text, "A number from 0 to 1", (value) => value >= 0 && value <= 1);

/** Option parser: a number above 0 and up to 1. */
export const positiveFraction = (text: string): number =>
  numberFrom(text, "A number above 0, at most 1,", (value) => value > 0 && value <= 1);

/** Option parser for an option that may be given several times: `--stop a --stop b`. */
export const repeated = (text: string, before: readonly string[] = []): string[] => [...before, text];
