/**
 * The keys and values that rows have behind them, on the host: one array [rows, G, S, D] for each layer's keys and
 * one for its values. The graph reads them in place; what it returns is written behind each row's own tokens.
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
  const step = tokens <= 512 ? 32 : 128;
  return Math.max(1, Math.ceil(tokens / step)) * step;
};

export class KeyValueCache {
  readonly #shape: CacheShape;
  #arrays: Float32Array[];
  #rows = 0;
  /** S, places a row has. */
  #size = 0;

  constructor(shape: CacheShape) {
    this.#shape = shape;
    this.#arrays = Array.from({ length: shape.arrays }, () => new Float32Array(0));
  }

  /** Makes room for `rows` rows of `tokens` tokens; what was written stays. */
  reserve(rows: number, tokens: number): void {
    if (rows <= this.#rows && tokens <= this.#size) return;
    const { groups, width } = this.#shape;
    const [capacity, size] = [Math.max(rows, this.#rows), Math.max(roundUp(tokens), this.#size)];
    const [from, to] = [this.#size * width, size * width];
    this.#arrays = this.#arrays.map((old) => {
      const grown = new Float32Array(capacity * groups * to);
      if (from === to) grown.set(old);
      else
        for (let i = 0; i < this.#rows * groups; i++)
          grown.set(old.subarray(i * from, (i + 1) * from), i * to);
      return grown;
    });
    this.#rows = capacity;
    this.#size = size;
  }

  /** The first `rows` rows as inputs of the graph, without a copy. */
  feeds(prefix: string, rows: number): Record<string, HostArray> {
    const { groups, width } = this.#shape;
    const shape = [rows, groups, this.#size, width];
    const length = rows * groups * this.#size * width;
    return Object.fromEntries(
      this.#arrays.map((data, i) => [
        `${prefix}.${i}`,
        { dtype: "float32", shape, data: data.subarray(0, length) },
      ]),
    );
  }

  /** Copies `count` tokens of row `from` of a result [arrays, B, G, T, D] to places 0 and up of row `row`. */
  writePrompt(result: HostArray, from: number, row: number, count: number): void {
    const { groups, width } = this.#shape;
    const [, batch, , tokens] = result.shape as [number, number, number, number, number];
    const source = result.data as Float32Array;
    for (const [i, target] of this.#arrays.entries())
      for (let g = 0; g < groups; g++) {
        const start = ((i * batch + from) * groups + g) * tokens * width;
        target.set(source.subarray(start, start + count * width), (row * groups + g) * this.#size * width);
      }
  }

  /** Copies the one token of every row of a result [arrays, B, G, 1, D] to place `lengths[row]` of that row. */
  writeStep(result: HostArray, lengths: BigInt64Array): void {
    const { groups, width } = this.#shape;
    const batch = result.shape[1] as number;
    const source = result.data as Float32Array;
    const places = Array.from(lengths, Number);
    let at = 0;
    for (const target of this.#arrays)
      for (let row = 0; row < batch; row++) {
        let to = (row * groups * this.#size + (places[row] as number)) * width;
        for (let g = 0; g < groups; g++, to += this.#size * width)
          for (let d = 0; d < width; d++) target[to + d] = source[at++] as number;
      }
  }

  /** Copies rows from one place to another. */
  move(from: number, to: number, rows: number): void {
    const length = this.#shape.groups * this.#size * this.#shape.width;
    for (const data of this.#arrays) data.copyWithin(to * length, from * length, (from + rows) * length);
  }
}
