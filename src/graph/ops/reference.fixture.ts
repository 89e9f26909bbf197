/** Plain loops over float64 arrays, and differences of them: what the operations are held against in tests. */

export interface Nd {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export type Reference = (...xs: Nd[]) => Nd | readonly Nd[];

/** Every index of a shape in row-major order. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const total = shape.reduce((n, d) => n * d, 1);
  for (let flat = 0; flat < total; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (const d of [...shape].reverse()) {
      index.unshift(rest % d);
      rest = Math.floor(rest / d);
    }
    yield index;
  }
}

/** Reads an element; trailing axes are aligned and an axis of size 1 stretches. */
export function at(x: Nd, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  let flat = 0;
  for (const [axis, d] of x.shape.entries()) flat = flat * d + (d === 1 ? 0 : (own[axis] as number));
  return x.data[flat] as number;
}

export function build(shape: readonly number[], fn: (index: number[]) => number): Nd {
  return { shape, data: Float64Array.from(indices(shape), fn) };
}

export const each =
  (fn: (x: number) => number): Reference =>
  (x) => ({ shape: (x as Nd).shape, data: (x as Nd).data.map(fn) });

/** Combines arrays element by element under broadcasting. */
export const together =
  (fn: (...xs: number[]) => number): Reference =>
  (...xs) => {
    const rank = Math.max(...xs.map((x) => x.shape.length));
    const shape = Array.from({ length: rank }, (_, i) =>
      Math.max(...xs.map((x) => x.shape[x.shape.length - rank + i] ?? 1)),
    );
    return build(shape, (index) => fn(...xs.map((x) => at(x, index))));
  };

/** Reduces the given axes with a function of the list of joined elements. */
export const over =
  (axes: readonly number[], keep: boolean, fn: (xs: number[]) => number): Reference =>
  (...[x]) => {
    const { shape } = x as Nd;
    const kept = shape.map((d, i) => (axes.includes(i) ? 1 : d));
    const groups = new Map<string, number[]>();
    for (const index of indices(shape)) {
      const key = index.map((i, axis) => (axes.includes(axis) ? 0 : i)).join();
      groups.set(key, [...(groups.get(key) ?? []), at(x as Nd, index)]);
    }
    const result = build(kept, (index) => fn(groups.get(index.join()) as number[]));
    return keep ? result : { shape: shape.filter((_, i) => !axes.includes(i)), data: result.data };
  };

/** The last axis as rows. */
export function rows(x: Nd): number[][] {
  const width = x.shape.at(-1) as number;
  return Array.from({ length: x.data.length / width }, (_, i) => [
    ...x.data.slice(i * width, (i + 1) * width),
  ]);
}

/** Applies a function to every row of the last axis. */
export const rowwise =
  (fn: (row: number[]) => number[]): Reference =>
  (...[x]) => {
    const out = rows(x as Nd).map(fn);
    const shape = [...(x as Nd).shape.slice(0, -1), (out[0] as number[]).length];
    return { shape, data: Float64Array.from(out.flat()) };
  };

export const total = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

export const softmaxRow = (row: readonly number[]): number[] => {
  const highest = Math.max(...row);
  const e = row.map((x) => Math.exp(x - highest));
  return e.map((x) => x / total(e));
};

/** The error function by Simpson's rule. */
export function erf(x: number): number {
  const n = 400;
  const h = x / n;
  let s = 0;
  for (let i = 0; i <= n; i++) s += (i === 0 || i === n ? 1 : i % 2 ? 4 : 2) * Math.exp(-((i * h) ** 2));
  return ((2 / Math.sqrt(Math.PI)) * s * h) / 3;
}

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** sum of weights * outputs, the scalar whose derivatives are compared. */
export function weighted(
  reference: Reference,
  weights: readonly (Nd | undefined)[],
  xs: readonly Nd[],
): number {
  const result = reference(...xs);
  const outputs = Array.isArray(result) ? (result as Nd[]) : [result as Nd];
  let s = 0;
  for (const [i, y] of outputs.entries())
    for (const [j, w] of weights[i]?.data.entries() ?? []) s += w * (y.data[j] as number);
  return s;
}

const moved = (xs: readonly Nd[], which: number, place: number, step: number): Nd[] =>
  xs.map((x, i) =>
    i === which ? { shape: x.shape, data: x.data.map((v, j) => (j === place ? v + step : v)) } : x,
  );

/** The gradient of f with respect to the arrays at `wrt`, by central differences. */
export function differences(
  f: (xs: readonly Nd[]) => number,
  xs: readonly Nd[],
  wrt: readonly number[],
  step: number,
): Nd[] {
  return wrt.map((which) => {
    const { shape, data } = xs[which] as Nd;
    const slope = (_: number, j: number) =>
      (f(moved(xs, which, j, step)) - f(moved(xs, which, j, -step))) / (2 * step);
    return { shape, data: data.map(slope) };
  });
}

/** f's derivative along the directions (one per array of `wrt`), by central differences. */
export function along(
  f: (xs: readonly Nd[]) => number,
  directions: readonly Nd[],
  wrt: readonly number[],
  step: number,
): (xs: readonly Nd[]) => number {
  const shifted = (xs: readonly Nd[], h: number) =>
    xs.map((x, i) => {
      const v = directions[wrt.indexOf(i)];
      return v ? { shape: x.shape, data: x.data.map((a, j) => a + h * (v.data[j] as number)) } : x;
    });
  return (xs) => (f(shifted(xs, step)) - f(shifted(xs, -step))) / (2 * step);
}
