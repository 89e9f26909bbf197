/**
 * How a command is written: `register(program)` declares name, options and help text, and its action names the
 * module that does the work, which is imported only when the command runs (so `--help` stays fast):
 *
 *     // merge.ts
 *     export function register(program: Command): void {
 *       program
 *         .command("merge")
 *         .description("join an adapter and its base into a model of its own")
 *         .requiredOption("--model <dir>", "model folder or hub id")
 *         .action(lazily(async () => (await import("./commands/merge-run.ts")).runMerge));
 *     }
 *
 *     // merge-run.ts
 *     export const runMerge: Implementation<Options> = async (context, options) => { ... };
 *
 * Then add the module to the table in main.ts.
 */
import type { Command } from "commander";
import type { CliContext } from "./context.ts";

/** The work behind a command: its context, its own options, its operands in order. */
export type Implementation<O> = (
  context: CliContext,
  options: O,
  ...operands: string[]
) => Promise<void> | void;

/** What an action hands to the frame (main.ts), which owns signals, streams and exit codes. */
export type Execute = (command: Command, run: (context: CliContext) => Promise<void>) => Promise<void>;

const executors = new WeakMap<Command, Execute>();

/** Called once by main.ts for the root command. */
export const setExecutor = (program: Command, execute: Execute): void => {
  executors.set(program, execute);
};

/** An action for commander that imports the implementation and runs it inside the frame. */
export function lazily<O>(load: () => Promise<Implementation<O>>): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const operands = command.args;
    let root = command;
    while (root.parent) root = root.parent;
    const execute = executors.get(root);
    if (!execute) throw new Error("lazily: the command is not registered with a program of main.ts");
    await execute(command, async (context) => {
      const implementation = await load();
      await implementation(context, command.opts() as O, ...operands);
    });
  };
}

const preparations = new WeakMap<Command, () => Promise<void>>();

/** Options that are declared when the command is chosen, because reading them takes time. */
export const prepareWith = (command: Command, prepare: () => Promise<void>): void => {
  preparations.set(command, prepare);
};

/** Declares what `prepareWith` put off; once. */
export async function prepared(command: Command): Promise<void> {
  const prepare = preparations.get(command);
  preparations.delete(command);
  await prepare?.();
}
