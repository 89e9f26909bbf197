/** Base of every error that Attune raises on purpose: what is required, what came, what to do next. */
export class AttuneError extends Error {
  override name = "AttuneError";
  /** The value of an option is at fault, not the data or the machine; a command then ends with 2 instead of 1. */
  readonly wrongUsage: boolean;
  constructor(message?: string, { wrongUsage = false, ...options }: AttuneErrorOptions = {}) {
    super(message, options);
    this.wrongUsage = wrongUsage;
  }
}

export interface AttuneErrorOptions extends ErrorOptions {
  readonly wrongUsage?: boolean;
}

/** A shape or dtype does not fit an operation; raised while tracing, before anything runs. */
export class ShapeError extends AttuneError {
  override name = "ShapeError";
}

/** The runtime under the compiled graph is missing or refused to run it. */
export class RuntimeError extends AttuneError {
  override name = "RuntimeError";
}
