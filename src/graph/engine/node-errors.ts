/** Errors on their way between threads: a clone loses the class, so the name travels along. */
import { AttuneError, type AttuneErrorOptions, RuntimeError, ShapeError } from "../errors.ts";

export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Whether it was raised on purpose, by this class or one derived from it. */
  readonly attune: boolean;
  readonly wrongUsage: boolean;
  readonly cause: PackedError | undefined;
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error))
    return {
      name: "Error",
      message: String(error),
      stack: undefined,
      attune: false,
      wrongUsage: false,
      cause: undefined,
    };
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    stack,
    attune: error instanceof AttuneError,
    wrongUsage: error instanceof AttuneError && error.wrongUsage,
    cause: cause ? packError(cause) : undefined,
  };
}

const classes: Readonly<Record<string, new (message: string, options?: AttuneErrorOptions) => Error>> = {
  AttuneError,
  ShapeError,
  RuntimeError,
  TypeError,
  RangeError,
};

/** The error again: of its own class where that is known here, else an AttuneError or Error of its name. */
export function unpackError({ name, message, stack, attune, wrongUsage, cause }: PackedError): Error {
  if (name === "AbortError") return new DOMException(message, name);
  const Class = classes[name] ?? (attune ? AttuneError : Error);
  const error = new Class(message, { ...(cause && { cause: unpackError(cause) }), wrongUsage });
  if (error.name !== name)
    Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  if (stack) error.stack = stack;
  return error;
}
