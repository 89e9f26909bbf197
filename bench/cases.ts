/**
 * The sizes of the benchmarks and what they count.
 *
 * All models have GPT-2's architecture (learned positions, tied head), random weights and no dropout.
 */

export interface ModelSize {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocab: number;
  /** Rows of the position table, at least the longest sequence. */
  readonly positions: number;
}

export interface TrainCase {
  readonly name: string;
  readonly model: ModelSize;
  /** T, tokens in a row. */
  readonly tokens: number;
  /** B, rows in a batch. */
  readonly batch: number;
  /** Optimiser steps in one measured run. */
  readonly steps: number;
  /** Least fraction of the machine's MatMul peak, and least ratio to each peer, as the project set them. */
  readonly targets: { readonly peak?: number; readonly [peer: string]: number | undefined };
}

export interface GenerateCase {
  readonly name: string;
  readonly model: ModelSize;
  readonly batch: number;
  readonly prompt: number;
  readonly newTokens: number;
  /** Samples a prompt. */
  readonly samples: number;
  readonly targets: { readonly [peer: string]: number | undefined };
}

const gpt2: ModelSize = { layers: 12, width: 768, heads: 12, vocab: 50257, positions: 1024 };
const l6d256: ModelSize = { layers: 6, width: 256, heads: 4, vocab: 2048, positions: 256 };
const l4d128: ModelSize = { layers: 4, width: 128, heads: 4, vocab: 1024, positions: 256 };

export const trainCases: readonly TrainCase[] = [
  {
    name: "gpt2-124m",
    model: gpt2,
    tokens: 256,
    batch: 4,
    steps: 1,
    targets: { peak: 0.68, "torch eager": 1.1 },
  },
  {
    name: "l6-d256",
    model: l6d256,
    tokens: 128,
    batch: 16,
    steps: 4,
    targets: { peak: 0.72, "torch eager": 1.3, "torch compile": 1.05 },
  },
  {
    name: "l4-d128",
    model: l4d128,
    tokens: 64,
    batch: 16,
    steps: 16,
    targets: { peak: 0.68, "torch eager": 1.6, "torch compile": 1.4, "tfjs wasm": 4, "jax-js wasm": 4 },
  },
];

export const generateCases: readonly GenerateCase[] = [
  {
    name: "gpt2-124m",
    model: gpt2,
    batch: 8,
    prompt: 64,
    newTokens: 64,
    samples: 1,
    targets: { "torch eager": 2.5, "torch eager, int8": 5, "transformers.js": 2 },
  },
  {
    name: "gpt2-124m 8x8",
    model: gpt2,
    batch: 8,
    prompt: 128,
    newTokens: 64,
    samples: 8,
    targets: { "torch eager": 3 },
  },
  {
    name: "l6-d256",
    model: l6d256,
    batch: 32,
    prompt: 64,
    newTokens: 64,
    samples: 1,
    targets: { "torch eager": 2, "transformers.js": 2 },
  },
  {
    name: "l4-d128",
    model: l4d128,
    batch: 32,
    prompt: 32,
    newTokens: 64,
    samples: 1,
    targets: { "torch eager": 2.2, "transformers.js": 2 },
  },
];

/**
 * P: every parameter but the position table; the token embedding counts once, since it is also the head.
 * That is 2 V-by-d products fewer than an untied model would have, and one lookup that costs nothing.
 */
export function countedParameters({ layers, width: d, vocab }: ModelSize): number {
  const attention = d * 3 * d + 3 * d + d * d + d;
  const mlp = d * 4 * d + 4 * d + 4 * d * d + d;
  const norms = 4 * d;
  return vocab * d + layers * (attention + mlp + norms) + 2 * d;
}

/**
 * Floating-point operations of one optimiser step over N = B T tokens: 6 P N for the weights (forward 2, backward 4)
 * and 12 L d T N for attention, without the saving that a causal mask allows; the optimiser is not counted.
 */
export function trainFlops({ model, tokens, batch }: Pick<TrainCase, "model" | "tokens" | "batch">): number {
  const n = tokens * batch;
  return 6 * countedParameters(model) * n + 12 * model.layers * model.width * tokens * n;
}
