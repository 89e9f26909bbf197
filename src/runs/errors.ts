/** Errors of run folders: what is in them does not fit, another run is at work in them, or they cannot be written. */
import { AttuneError } from "../graph/errors.ts";

export class RunError extends AttuneError {
  override name = "RunError";
}

/** What the operating system refuses, in words. */
const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EACCES: "the folder cannot be written: permission denied",
  EPERM: "the folder cannot be written: permission denied",
  EROFS: "the folder cannot be written: the file system is read-only",
  ENOTDIR: "a part of this path is a file, a folder is required",
};

/**
 * The error as one clear line: `PATH: REASON; REST`. What is no error of the file system, or has been said by a run
 * already, comes back as it is; one below another Attune error is said for the path that the user knows.
 */
export function writeError(error: unknown, path: string, rest: string): unknown {
  if (error instanceof RunError) return error;
  const { code, message } = Object(
    error instanceof AttuneError ? error.cause : error,
  ) as NodeJS.ErrnoException;
  if (typeof code !== "string" || !/^E[A-Z]+$/.test(code)) return error;
  return new RunError(`${path}: ${reasons[code] ?? message}; ${rest}`, { cause: error });
}
