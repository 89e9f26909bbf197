/**
 * The keys and values that rows have behind them, on the host. The graph reads them in place; what it returns is
 * written behind each row's own tokens.
 *
 * A layer's keys are one array [rows, G, S, D] and its values another.
 */
import type { HostArray } from "../graph/index.ts";

export interface CacheShape {
  /** Arrays: two a layer, keys before values. */
  readonly arrays: number;
  /** G, key-value heads. */
  readonly groups: number;
  /** D, width of a head. */
  readonly width: number;
}

/** S grows in steps, so that attention over empty places stays cheap and arrays are rarely laid out anew. */
const roundUp = (tokens: number): number => {
  if (tokens <= 1) return 1;
  const step = tokens <= 512 ? 32 : 128;
  return Math.ceil(tokens / step) * step;
};

/** The first `count` runs of `from` numbers each become runs of `to` numbers, filled up with zeros. */
function stretch(old: Float32Array, count: number, from: number, target: Float32Array, to: number): void {
  if (from === to) target.set(old);
  else for (let i = 0; i < count; i++) target.set(old.subarray(i * from, (i + 1) * from), i * to);
}

export class KeyValueCache {
  readonly #shape: CacheShape;
  readonly #discard: (arrays: Iterable<Float32Array>) => void;
  #arrays: Float32Array[];
  #rows = 0;
  /** S, places a row has. */
  #size = 0;

  /** @param discard frees arrays that were laid out anew */
  constructor(shape: CacheShape, discard: (arrays: Iterable<Float32Array>) => void = () => {}) {
    this.#shape = shape;
    this.#discard = discard;
    this.#arrays = Array.from({ length: shape.arrays }, () => new Float32Array(0));
  }

  /**
   * Makes room for `rows` rows of `tokens` tokens; what was written stays. Where `expected` tokens are to come, up to
   * twice the room is made, so that the arrays are laid out anew once or twice in all.
   */
  reserve(rows: number, tokens: number, expected = tokens): void {
    if (rows <= this.#rows && tokens <= this.#size) return;
    const { groups, width } = this.#shape;
    const needed =
      tokens <= this.#size ? this.#size : roundUp(Math.max(tokens, Math.min(expected, 2 * tokens)));
    const [capacity, size] = [Math.max(rows, this.#rows), needed];
    const old = { heads: this.#rows * groups, size: this.#size };
    const before = this.#arrays;
    this.#arrays = before.map((array) => {
      const grown = new Float32Array(capacity * groups * width * size);
      stretch(array, old.heads, old.size * width, grown, size * width);
      return grown;
    });
    this.#discard(before);
    this.#rows = capacity;
    this.#size = size;
  }

  /** Frees the arrays; the cache is not to be used after it. */
  dispose(): void {
    this.#discard(this.#arrays);
    this.#arrays = [];
  }

  /** The first `rows` rows as inputs of the graph, without a copy. */
  feeds(prefix: string, rows: number): Record<string, HostArray> {
    const { groups, width } = this.#shape;
    const length = rows * groups * this.#size * width;
    const feeds: Record<string, HostArray> = {};
    for (const [i, array] of this.#arrays.entries()) {
      const shape = [rows, groups, this.#size, width];
      feeds[`${prefix}.${i}`] = { dtype: "float32", shape, data: array.subarray(0, length) };
    }
    return feeds;
  }

  /** Copies `count` tokens of row `from` of a result [arrays B, G, T, D] to places 0 and up of row `row`. */
  writePrompt(result: HostArray, from: number, row: number, count: number): void {
    const { groups, width, arrays } = this.#shape;
    const [joined, , tokens] = result.shape as [number, number, number];
    const batch = joined / arrays;
    const source = result.data as Float32Array;
    const size = this.#size;
    for (const [i, target] of this.#arrays.entries())
      for (let g = 0; g < groups; g++) {
        const start = ((i * batch + from) * groups + g) * tokens * width;
        const to = (row * groups + g) * size * width;
        target.set(source.subarray(start, start + count * width), to);
      }
  }

  /** Copies the one token of every row of a result [arrays B, G, 1, D] to place `lengths[row]` of that row. */
  writeStep(result: HostArray, lengths: BigInt64Array): void {
    const { groups, width } = this.#shape;
    const source = result.data as Float32Array;
    const places = Array.from(lengths, Number);
    const stride = this.#size * width;
    let at = 0;
    for (const target of this.#arrays)
      for (let row = 0; row < places.length; row++) {
        let to = row * groups * stride + (places[row] as number) * width;
        for (let g = 0; g < groups; g++, to += stride)
          for (let d = 0; d < width; d++) target[to + d] = source[at++] as number;
      }
  }

  /** Copies rows from one place to another. */
  move(from: number, to: number, rows: number): void {
    const length = this.#shape.groups * this.#size * this.#shape.width;
    for (const data of this.#arrays) data.copyWithin(to * length, from * length, (from + rows) * length);
  }
}
