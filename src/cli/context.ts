/**
 * What a running command gets besides its own options: the signal that asks it to stop, the shared settings,
 * and the only ways to speak. Results go to standard output, everything else to standard error; with --json
 * standard output holds exactly one JSON value.
 */
import type { GlobalOptions, ProviderName } from "./options.ts";
import { createProgress, type Progress, type ProgressOptions } from "./progress.ts";

export interface CliContext {
  /** Aborted by the first Ctrl-C: finish the current step, write the checkpoint, return. */
  readonly signal: AbortSignal;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
  /** Threads of the CPU provider; undefined leaves it to the runtime. */
  readonly threads: number | undefined;
  readonly provider: ProviderName;
  /** The command's result, once: `value` as JSON under --json, else `text` followed by a newline. */
  result(value: unknown, text?: string): void;
  /** Text as it comes into being (streamed tokens) to standard output; dropped under --json. No newline is added. */
  write(text: string): void;
  /** A line for people on standard error; dropped under --quiet. */
  note(line: string): void;
  /** A line that matters on standard error, never dropped. */
  warn(line: string): void;
  /** A progress line on standard error; silent under --quiet. */
  progress(options: Omit<ProgressOptions, "stream" | "quiet">): Progress;
}

/** Where the bytes go; tests pass their own. */
export interface Streams {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
}

/** The context, and `close` for the frame: it ends a progress line that is still open, before an error is said. */
export function createContext(
  options: GlobalOptions,
  signal: AbortSignal,
  streams: Streams,
): { context: CliContext; close: () => void } {
  const { json = false, quiet = false, debug = false, threads, provider } = options;
  let current: Progress | undefined;
  const line = (text: string) => (current ? current.log(text) : streams.stderr.write(`${text}\n`));
  const context: CliContext = {
    signal,
    json,
    quiet,
    debug,
    threads,
    provider,
    result(value, text) {
      if (json) streams.stdout.write(`${toJson(value)}\n`);
      else if (text !== undefined) streams.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    },
    write(text) {
      if (!json) streams.stdout.write(text);
    },
    note(text) {
      if (!quiet) line(text);
    },
    warn(text) {
      line(`warning: ${text}`);
    },
    progress(progressOptions) {
      current?.done();
      const progress = createProgress({ ...progressOptions, stream: streams.stderr, quiet });
      current = progress;
      return progress;
    },
  };
  return { context, close: () => current?.done() };
}

/** JSON with typed arrays as lists, bigint as numbers, and null for what is not finite. */
export function toJson(value: unknown): string {
  const plain = (_key: string, item: unknown): unknown => {
    if (typeof item === "bigint") return Number(item);
    if (ArrayBuffer.isView(item) && !(item instanceof DataView))
      return Array.from(item as unknown as ArrayLike<number | bigint>);
    return item;
  };
  return JSON.stringify(value, plain) ?? "null";
}
