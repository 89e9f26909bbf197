/**
 * Counter-based random numbers: each is a function of a seed, a stream and a position, never of what was drawn
 * before, so that results do not depend on the order of work.
 *
 * The mixing function is the finaliser of MurmurHash3 (Appleby 2011), applied once per word of the key.
 */

const mix = (x: number): number => {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
};

/** 32 random bits for a key of whole numbers. */
export function randomBits(...key: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of key) {
    h = mix(h ^ mix(word));
    h = Math.imul(h, 5) + 0x38495ab5;
  }
  return mix(h) >>> 0;
}

/** A number in (0, 1), never 0 and never 1. */
export const uniform = (...key: readonly number[]): number => (randomBits(...key) + 0.5) / 2 ** 32;

/** Fills `out` with N(0, std^2) by the Box-Muller transform. */
export function gaussian(out: Float32Array, seed: number, stream: number, std = 1): Float32Array {
  for (let i = 0; i < out.length; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(uniform(seed, stream, i)));
    const angle = 2 * Math.PI * uniform(seed, stream, i + 1);
    out[i] = radius * Math.cos(angle);
    if (i + 1 < out.length) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

/** A permutation of 0 .. n-1 (Fisher and Yates). */
export function permutation(n: number, seed: number, stream: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform(seed, stream, i) * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}
