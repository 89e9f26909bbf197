/**
 * Logistic regression: the w that maximises
 *
 *     sum over rows of n (y log p + (1 - y) log(1 - p)) - ridge/2 |w|^2        p = sigmoid(w . x)
 *
 * by Newton's method (iteratively reweighted least squares). Targets may lie between 0 and 1, as a tie does at 0.5.
 */

export interface LogisticRow {
  readonly x: ArrayLike<number>;
  readonly y: number;
  /** How often the row counts. Default: 1. */
  readonly n?: number;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * The weights, one a column.
 *
 * @param ridge keeps weights finite where a column tells the outcome for sure; the default is far below any figure shown
 */
export function fitLogistic(rows: readonly LogisticRow[], { ridge = 1e-6, steps = 50 } = {}): Float64Array {
  const width = rows[0]?.x.length ?? 0;
  const w = new Float64Array(width);
  for (let step = 0; step < steps; step++) {
    const gradient = w.map((value) => -ridge * value);
    const hessian = Array.from({ length: width }, (_, i) => {
      const row = new Float64Array(width);
      row[i] = ridge;
      return row;
    });
    for (const { x, y, n = 1 } of rows) {
      const p = sigmoid(dot(w, x));
      for (let i = 0; i < width; i++) {
        const xi = x[i] as number;
        if (xi === 0) continue;
        gradient[i] = (gradient[i] as number) + n * (y - p) * xi;
        const row = hessian[i] as Float64Array;
        for (let j = 0; j < width; j++) row[j] = (row[j] as number) + n * p * (1 - p) * xi * (x[j] as number);
      }
    }
    const move = solve(hessian, gradient);
    // A step of more than 2 leaves the range in which the quadratic is a good picture.
    const largest = Math.max(...move.map(Math.abs), 0);
    const scale = largest > 2 ? 2 / largest : 1;
    for (let i = 0; i < width; i++) w[i] = (w[i] as number) + scale * (move[i] as number);
    if (largest < 1e-10) break;
  }
  return w;
}

/** Solves A x = b for a symmetric positive definite A, by Gaussian elimination with pivots; A and b are used up. */
function solve(a: Float64Array[], b: Float64Array): Float64Array {
  const n = b.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++)
      if (Math.abs(a[i]?.[k] as number) > Math.abs(a[pivot]?.[k] as number)) pivot = i;
    [a[k], a[pivot]] = [a[pivot] as Float64Array, a[k] as Float64Array];
    [b[k], b[pivot]] = [b[pivot] as number, b[k] as number];
    const top = a[k] as Float64Array;
    for (let i = k + 1; i < n; i++) {
      const row = a[i] as Float64Array;
      const factor = (row[k] as number) / (top[k] as number);
      for (let j = k; j < n; j++) row[j] = (row[j] as number) - factor * (top[j] as number);
      b[i] = (b[i] as number) - factor * (b[k] as number);
    }
  }
  const x = new Float64Array(n);
  for (let k = n - 1; k >= 0; k--) {
    const row = a[k] as Float64Array;
    let rest = b[k] as number;
    for (let j = k + 1; j < n; j++) rest -= (row[j] as number) * (x[j] as number);
    x[k] = rest / (row[k] as number);
  }
  return x;
}
