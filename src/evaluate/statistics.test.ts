import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { permutation, uniform } from "../graph/random.ts";
import {
  bootstrap,
  bootstrapRows,
  calibration,
  distinctN,
  lengthStatistics,
  marginCalibration,
  mean,
  pearson,
  quantile,
  ranks,
  repetition,
  spearman,
  standardDeviation,
  winRate,
} from "./index.ts";

const finite = fc.double({ min: -1e3, max: 1e3, noNaN: true });

describe("bootstrap", () => {
  it("is a function of the values and the seed, not of their order", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 30 }), fc.nat(1000), (values, seed) => {
        const shuffled = [...permutation(values.length, seed, 1)].map((i) => values[i] as number);
        expect(bootstrap(shuffled, mean, { seed, n: 50 })).toEqual(bootstrap(values, mean, { seed, n: 50 }));
      }),
      { numRuns: 50 },
    );
  });

  it("holds the mean of the population in about 95 % of the samples", () => {
    let held = 0;
    const trials = 300;
    for (let trial = 0; trial < trials; trial++) {
      const values = Array.from({ length: 60 }, (_, i) => uniform(9, trial, i));
      const { low, high } = bootstrap(values, mean, { seed: trial, n: 300 });
      if (low <= 0.5 && 0.5 <= high) held++;
    }
    expect(held / trials).toBeGreaterThan(0.9);
    expect(held / trials).toBeLessThan(0.98);
  });

  it("is a point when all values are equal, narrows as they multiply, and is NaN without values", () => {
    expect(bootstrap([2, 2, 2])).toEqual({ mean: 2, low: 2, high: 2 });
    const width = (n: number) => {
      const { low, high } = bootstrap(Array.from({ length: n }, (_, i) => uniform(3, i)));
      return high - low;
    };
    expect(width(400) / width(100)).toBeCloseTo(0.5, 1);
    expect(bootstrap([]).mean).toBeNaN();
  });

  it("draws the rows of a ratio together", () => {
    const rows = Array.from({ length: 40 }, (_, i) => [2 * (i + 1), i + 1]);
    const ratio = (columns: readonly Float64Array[]) =>
      mean(columns[0] as Float64Array) / mean(columns[1] as Float64Array);
    expect(bootstrapRows(rows, ratio)).toEqual({ mean: 2, low: 2, high: 2 });
  });

  it("quantiles and deviations are those of NumPy", () => {
    expect(quantile([1, 2, 3, 4], 0.3)).toBeCloseTo(1.9, 12);
    expect(quantile([5], 0.9)).toBe(5);
    expect(standardDeviation([1, 2, 3, 4])).toBeCloseTo(1.2909944487358056, 12);
    expect(standardDeviation([7])).toBe(0);
  });
});

describe("win rate", () => {
  it("counts ties half, and adds up to 1 with its mirror", () => {
    expect(winRate([1, 2, 3, 4], [0, 2, 1, 5]).rate).toBe(0.625);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: 1 }), (pairs) => {
        const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)];
        const options = { n: 20 };
        expect(winRate(a, b, options).rate + winRate(b, a, options).rate).toBeCloseTo(1, 12);
        expect(winRate(a, a, options)).toEqual({ rate: 0.5, low: 0.5, high: 0.5, n: a.length });
      }),
    );
  });

  it("refuses scores of different prompts", () => {
    expect(() => winRate([1], [1, 2])).toThrow(/same prompts are required, got 1 against 2/);
  });
});

describe("correlation", () => {
  it("values worked by hand", () => {
    // deviations (-1.5, -.5, .5, 1.5) and (-1, -2, 2, 1): 5 / sqrt(5 * 10)
    expect(pearson([1, 2, 3, 4], [2, 1, 5, 4])).toBeCloseTo(5 / Math.sqrt(50), 12);
    // one pair of ranks changes places twice: 1 - 6 * 4 / (4 * 15)
    expect(spearman([1, 2, 3, 4], [20, 10, 500, 40])).toBeCloseTo(0.6, 12);
    expect([...ranks([3, 1, 3, 2])]).toEqual([3.5, 1, 3.5, 2]);
  });

  it("is 1 of a rising line, -1 of a falling one, and undefined of a constant", () => {
    expect(pearson([1, 2, 3], [4, 6, 8])).toBeCloseTo(1, 12);
    expect(pearson([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
    expect(pearson([1, 2], [1, 1])).toBeNaN();
    expect(() => pearson([1], [])).toThrow(/one length/);
  });

  it("ranks do not change under a rising function", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { minLength: 3 }), (pairs) => {
        const [x, y] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
        const [plain, cubed] = [
          spearman(x, y),
          spearman(
            x.map((v) => v ** 3),
            y,
          ),
        ];
        if (Number.isNaN(plain)) expect(cubed).toBeNaN();
        else expect(cubed).toBeCloseTo(plain, 12);
      }),
    );
  });
});

describe("calibration", () => {
  it("the expected error is the mean gap, weighted by counts", () => {
    // bins [0.2, 0.3) and [0.9, 1]: gaps |0.5 - 0.25| of two and |1 - 0.9| of two
    const { ece, bins } = calibration([0.25, 0.25, 0.9, 0.9], [0, 1, 1, 1]);
    expect(ece).toBeCloseTo(0.5 * 0.25 + 0.5 * 0.1, 12);
    expect(bins.map(({ low, count, observed }) => [low, count, observed])).toEqual([
      [0.2, 2, 0.5],
      [0.9, 2, 1],
    ]);
  });

  it("vanishes when outcomes are drawn with the predicted probabilities", () => {
    const p = Array.from({ length: 20_000 }, (_, i) => uniform(1, i));
    const { ece } = calibration(
      p,
      p.map((q, i) => (uniform(2, i) < q ? 1 : 0)),
    );
    expect(ece).toBeLessThan(0.02);
  });

  it("margins count by how sure the model is, and ties are half right", () => {
    const { bins, ece } = marginCalibration([Math.log(9), -Math.log(9), 0]);
    expect(bins.map(({ count }) => count)).toEqual([1, 2]);
    expect(bins[0]).toMatchObject({ low: 0.5, predicted: 0.5, observed: 0.5 });
    expect(bins[1]?.predicted).toBeCloseTo(0.9, 12);
    expect(ece).toBeCloseTo((2 / 3) * 0.4, 12);
    expect(marginCalibration([1000, -1000]).bins).toMatchObject([{ predicted: 1, observed: 0.5, count: 2 }]);
  });

  it("refuses what is no probability, and another number of outcomes", () => {
    expect(() => calibration([1.2], [1])).toThrow(/from 0 to 1 are required, got 1.2/);
    expect(() => calibration([0.2], [])).toThrow(/an outcome for each of 1/);
  });
});

describe("diversity", () => {
  it("distinct-n is different n-grams over all, of words or of ids", () => {
    expect(distinctN(["a b a", "a b"], 1)).toBe(2 / 5);
    expect(distinctN(["a b a", "a b"], 2)).toBe(2 / 3);
    expect(distinctN([[1, 12], Int32Array.of(11, 2)], 2)).toBe(1);
    expect(distinctN(["a"], 2)).toBe(0);
  });

  it("repetition is the share of n-grams that stood in the text before", () => {
    expect(repetition(["a b c a b c"], 3)).toBe(1 / 4);
    expect(repetition(["a b c d", "a"], 3)).toBe(0);
  });

  it("lengths", () => {
    expect(lengthStatistics(["a b", "a", "a b c d"])).toMatchObject({
      mean: 7 / 3,
      min: 1,
      median: 2,
      max: 4,
    });
    expect(lengthStatistics([])).toMatchObject({ mean: 0, max: 0 });
  });
});
