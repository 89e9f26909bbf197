/**
 * The attune command: parses, runs one command, and ends with an exit code (see failure.ts).
 * The first Ctrl-C asks the command to stop, the second ends the process at once.
 */
import { Command, CommanderError } from "commander";
import { prepared, setExecutor } from "./command.ts";
import { register as chat } from "./commands/chat.ts";
import { register as data } from "./commands/data.ts";
import { register as demo } from "./commands/demo.ts";
import { register as estimate } from "./commands/estimate.ts";
import { register as evaluate } from "./commands/eval.ts";
import { register as exportModel } from "./commands/export.ts";
import { register as generate } from "./commands/generate.ts";
import { register as label } from "./commands/label.ts";
import { register as merge } from "./commands/merge.ts";
import { register as monitor } from "./commands/monitor.ts";
import { register as report } from "./commands/report.ts";
import { register as run } from "./commands/run.ts";
import { register as score } from "./commands/score.ts";
import { register as studies } from "./commands/studies.ts";
import { register as trainers } from "./commands/trainers.ts";
import { createContext, type Streams } from "./context.ts";
import { describeFailure, exitCodeOf, exitCodes, InterruptedError } from "./failure.ts";
import { addGlobalOptions, type GlobalOptions } from "./options.ts";
import { version } from "./version.ts";

/** Every command, in the order of the help text. A row registers options and help; the work loads when it runs. */
export const commands: readonly ((program: Command) => void)[] = [
  demo,
  run,
  estimate,
  trainers,
  studies,
  monitor,
  label,
  generate,
  chat,
  score,
  evaluate,
  report,
  merge,
  exportModel,
  data,
];

/** The commander program with all commands; `execute` gets the command that was chosen. */
export function createProgram(registrations: typeof commands, streams: Streams): Command {
  const program = new Command("attune")
    .description("RLHF for TypeScript: train, align and evaluate language models at native speed")
    .version(version(), "-V, --version", "print the version")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
    })
    .showHelpAfterError("(--help shows the options)")
    .exitOverride()
    .hook("preSubcommand", (_, command) => prepared(command));
  addGlobalOptions(program);
  for (const register of registrations) register(program);
  return program;
}

/** Runs one command line; resolves with the exit code and never rejects. */
export async function runCli(
  argv: readonly string[],
  { registrations = commands, streams = process as Streams, signal = new AbortController().signal } = {},
): Promise<number> {
  let debug = argv.includes("--debug");
  const say = (text: string) => streams.stderr.write(`${text}\n`);
  try {
    const program = createProgram(registrations, streams);
    setExecutor(program, async (command, run) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      debug = options.debug ?? false;
      const { context, close } = createContext(options, signal, streams);
      try {
        await run(context);
      } finally {
        close();
      }
    });
    await program.parseAsync(helpLast(argv), { from: "user" });
    return signal.aborted ? interrupted(signal, say) : exitCodes.success;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOf(error); // commander has said it already
    if (signal.aborted && isAbort(error)) return interrupted(signal, say);
    say(describeFailure(error, debug));
    return exitCodeOf(error);
  }
}

/** `help sft` as `sft --help`, whose options are declared by then. */
const helpLast = ([first, ...rest]: readonly string[]): string[] =>
  first === "help" && rest.length > 0 ? [...rest, "--help"] : first === undefined ? [] : [first, ...rest];

const isAbort = (error: unknown): boolean =>
  error instanceof InterruptedError || (error instanceof Error && error.name === "AbortError");

function interrupted(signal: AbortSignal, say: (text: string) => void): number {
  const { reason } = signal;
  if (!(reason instanceof InterruptedError)) return exitCodes.interrupted;
  if (reason.exitCode !== exitCodes.success) say(`attune: ${reason.message}`);
  return reason.exitCode;
}

/** The process around `runCli`: signals, closed pipes, console output of libraries, the exit. */
export async function main(argv: readonly string[], registrations = commands): Promise<never> {
  const stop = new AbortController();
  const onSignal = (name: string, exitCode: number) => (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) {
      // By the signal itself: process.exit would tear down the runtime's threads in the middle of a step, and abort.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
      return;
    }
    process.stderr.write(`\nattune: stopping once the current step is done; ${name} again ends at once\n`);
    stop.abort(new InterruptedError(`stopped by ${name}`, exitCode));
  };
  process.on("SIGINT", onSignal("Ctrl-C", exitCodes.interrupted));
  process.on("SIGTERM", onSignal("SIGTERM", exitCodes.terminated));
  // `attune ... | head`: nobody reads on, so the command stops, and that is no failure
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      process.stderr.write(`error: standard output cannot be written: ${error.message}\n`);
      process.exit(exitCodes.failure);
    }
    if (!stop.signal.aborted)
      stop.abort(new InterruptedError("standard output was closed", exitCodes.success));
  });
  process.stderr.on("error", () => {}); // nobody reads the progress: go on in silence
  // what a library logs must not get between the results
  console.log = console.info = console.debug = console.error;

  // The event loop is empty and the command is not done: nobody is left to settle what it waits for.
  process.once("beforeExit", () => {
    process.stderr.write(
      "error: the command waits for a promise that will never settle: a reward, an environment or another function of " +
        "yours neither returned nor threw; correct it\n",
    );
    process.exit(exitCodes.failure);
  });

  // What is thrown outside of everything that the command waits for, as in a timer of a reward's.
  const onStray = (error: unknown) => {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const text = `something threw outside of what the command waits for: ${reason}; correct the function`;
    if (argv.includes("--debug") && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    if (stop.signal.aborted) process.stderr.write(`error: ${text}\n`);
    else stop.abort(new InterruptedError(text, exitCodes.failure));
  };
  process.on("uncaughtException", onStray);
  process.on("unhandledRejection", onStray);
  // A function of the user's that ends the process does not end the command well.
  const onExit = (code: number) => {
    if (code !== exitCodes.success) return;
    process.stderr.write("error: something called process.exit before the command was done; take it out\n");
    process.exitCode = exitCodes.failure;
  };
  process.once("exit", onExit);

  const code = await runCli(argv, { registrations, signal: stop.signal });
  // worker threads or open handles of the runtime must not keep a finished command alive
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.off("exit", onExit);
  process.exit(code);
}

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) resolve();
    else {
      stream.once("close", resolve);
      stream.write("", () => resolve());
    }
  });
