import { expect, it } from "vitest";
import { gaussian } from "../../graph/random.ts";
import { type CurvePoint, curveAt, highestAt } from "./curve.ts";
import { peakShift, rangeOf } from "./peak.ts";

/** Runs along d (alpha - beta log d), with noise. */
const runsOf = (alpha: number, seed: number, noise = 0.02): CurvePoint[][] =>
  [0, 1, 2].map((run) => {
    const e = gaussian(new Float32Array(12), seed, run);
    return Array.from(e, (error, i) => {
      const d = 0.5 * (i + 1);
      return { d, reward: curveAt({ form: "rl", alpha, beta: 0.3, start: 0 }, d) + noise * error };
    });
  });
const options = { form: "rl", start: 0, n: 300 } as const;

it("two peaks lie as far apart as they were planted, and the interval leaves 0 out", () => {
  const [near, far] = [Math.exp(0.3 / 0.3 - 1), Math.exp(0.5 / 0.3 - 1)];
  const { mean, low, high } = peakShift(runsOf(0.5, 1), runsOf(0.3, 2), options);
  expect(mean).toBeCloseTo(far - near, 1);
  expect(low).toBeGreaterThan(0);
  expect([low < far - near, far - near < high]).toEqual([true, true]);
});

it("the same curve with other noise has moved nowhere: of twenty studies hardly one says so", () => {
  const shown = Array.from({ length: 20 }, (_, k) => {
    const { low, high } = peakShift(runsOf(0.4, 10 + k, 0.1), runsOf(0.4, 100 + k, 0.1), options);
    return Number(low > 0 || high < 0);
  });
  expect(shown.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(3);
});

it("a curve that rises has its peak at infinity, one that falls at 0, and an interval may reach there", () => {
  expect(highestAt({ alpha: 1 })).toBe(Number.POSITIVE_INFINITY);
  expect(highestAt({ alpha: -1 })).toBe(0);
  const drawn = [...Array(90).fill(1), ...Array(10).fill(Number.POSITIVE_INFINITY)] as number[];
  expect(rangeOf(1, drawn)).toEqual({ mean: 1, low: 1, high: Number.POSITIVE_INFINITY });
});
