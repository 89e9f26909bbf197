/**
 * How a model is traced, for whoever traces it: what the backward pass computes again instead of keeping it.
 *
 * These settings change no value, only what is in memory when. A model's functions are called from many losses, so they
 * are a property of the trace and not an argument of each: `traced(settings, fn)` holds while `fn` runs, which is
 * synchronous.
 */
export interface Tracing {
  /** The inner values of every layer are computed again when its gradient is wanted; only its input is kept. */
  readonly recompute?: boolean | undefined;
  /** Rows of logits that are there at a time; all when left out. */
  readonly logitsChunk?: number | undefined;
}

let current: Tracing = {};

/** The settings of the trace that is going on. */
export const tracing = (): Tracing => current;

/** Runs `fn`, which traces, with these settings, and gives back what it returns. */
export function traced<T>(settings: Tracing, fn: () => T): T {
  const before = current;
  current = { ...before, ...settings };
  try {
    return fn();
  } finally {
    current = before;
  }
}
