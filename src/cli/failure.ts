/**
 * From an error to an exit code and one clear message.
 * 0 success, 1 failure, 2 wrong usage, 130 after Ctrl-C (128 + SIGINT), 143 after SIGTERM.
 */
import { CommanderError } from "commander";
import { AttuneError } from "../graph/errors.ts";

export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** The command was called in a way that cannot work (options that exclude each other, a missing one): exit code 2. */
export class UsageError extends AttuneError {
  override name = "UsageError";
  constructor(message: string) {
    super(message, { wrongUsage: true });
  }
}

/** What a command throws, or finds as `signal.reason`, when it was asked to stop. */
export class InterruptedError extends AttuneError {
  override name = "InterruptedError";
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Messages for what the operating system refuses, by error code. */
const systemMessages: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `${path}: no such file or folder`,
  EACCES: (path) => `${path}: permission denied`,
  EISDIR: (path) => `${path}: is a folder, a file is required`,
  ENOTDIR: (path) => `${path}: a part of this path is a file, a folder is required`,
  ENOSPC: (path) => `${path}: no space left on the device`,
  EROFS: (path) => `${path}: the file system is read-only`,
};

/** Commander ends `--help` and `--version` with an error of exit code 0; all its other errors are wrong usage. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
  if (error instanceof InterruptedError) return error.exitCode;
  if (error instanceof AttuneError && error.wrongUsage) return exitCodes.usage;
  return exitCodes.failure;
}

/** The text for standard error, without a trailing newline; with `debug` the stack and the causes follow. */
export function describeFailure(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  if (debug) return `error: ${stackWithCauses(error)}`;
  if (error instanceof AttuneError) return `error: ${error.message}`;
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : systemMessages[code];
  if (known && path !== undefined && syscall !== "spawn") return `error: ${known(path)}`;
  return `error: ${error.message || error.name}\n(--debug shows where this happened)`;
}

function stackWithCauses(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackWithCauses(error.cause)}` : own;
}
