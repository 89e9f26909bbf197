/**
 * How a model is traced, for whoever traces it: what the backward pass computes again instead of keeping it.
 *
 * These settings change no value, only what is in memory when; half precision alone rounds. A model's functions are called
 * from many losses, so they are a property of the trace and not an argument of each: `traced(settings, fn)` holds while
 * `fn` runs, which is synchronous.
 */
import { cast, matmul, type Tensor } from "../graph/index.ts";

export interface Tracing {
  /** The inner values of every layer are computed again when its gradient is wanted; only its input is kept. */
  readonly recompute?: boolean | undefined;
  /** Rows of logits that are there at a time; all when left out, by the size of the vocabulary when "auto". */
  readonly logitsChunk?: number | "auto" | undefined;
  /** Products of the projections are computed in half precision, forward and backward. */
  readonly half?: boolean | undefined;
}

/**
 * A product of activations with a weight, in half precision where the trace asks for it: both factors are rounded, and the
 * result is single again. The gradients are computed the same way, so weights stay, and are updated, in single precision.
 */
export function project(x: Tensor, weight: Tensor, options: { readonly transposeB?: boolean } = {}): Tensor {
  if (!current.half || x.dtype !== "float32") return matmul(x, weight, options);
  return cast(matmul(cast(x, "float16"), cast(weight, "float16"), options), "float32");
}

/** Logits that are there at a time where nobody says how many: 64 MB of them. */
const logitsAtOnce = 2 ** 24;
/** Up to this vocabulary a step's logits are no more than its activations, and chunks only cost time. */
const smallVocabulary = 4096;

/**
 * Rows of logits at a time: as asked, or for "auto" as many as 64 MB hold, in 64s; undefined for all.
 *
 * @param rows how many there are at most, where that is known: no more than fit at once need no chunks
 */
export function logitsChunkOf(
  asked: Tracing["logitsChunk"],
  vocabSize: number,
  rows = Number.POSITIVE_INFINITY,
): number | undefined {
  if (asked !== "auto") return asked;
  if (vocabSize <= smallVocabulary) return undefined;
  const size = Math.max(64, 64 * Math.floor(logitsAtOnce / vocabSize / 64));
  return rows <= size ? undefined : size;
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
