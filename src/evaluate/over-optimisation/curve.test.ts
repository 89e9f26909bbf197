import { describe, expect, it } from "vitest";
import { gaussian } from "../../graph/random.ts";
import { type CurveName, type CurvePoint, curveAt, curveForms, fitCurve, fitRuns } from "./curve.ts";

const distances = Array.from({ length: 12 }, (_, i) => 0.3 * i);
const planted = { alpha: 0.8, beta: 0.3, start: 0.2 };
const peaks = { "best-of-n": 0.8 / 0.6, rl: Math.exp(0.8 / 0.3 - 1) };

/** Points of a planted curve, with noise of standard deviation `noise`. */
const pointsOf = (form: CurveName, noise = 0, seed = 0): CurvePoint[] => {
  const e = gaussian(new Float32Array(distances.length), seed, 1);
  return distances.map((d, i) => ({
    d,
    reward: curveAt({ form, ...planted }, d) + noise * (e[i] as number),
  }));
};

describe.each(Object.keys(curveForms) as CurveName[])("the curve of %s", (form) => {
  it("is found again, with its peak", () => {
    for (const start of [undefined, planted.start]) {
      const {
        alpha,
        beta,
        start: r0,
        r2,
        peak,
      } = fitCurve(pointsOf(form), {
        form,
        ...(start !== undefined && { start }),
      });
      expect(alpha).toBeCloseTo(planted.alpha, 8);
      expect(beta).toBeCloseTo(planted.beta, 8);
      expect(r0).toBeCloseTo(planted.start, 8);
      expect(r2).toBeCloseTo(1, 10);
      expect(peak?.d).toBeCloseTo(peaks[form], 6);
    }
  });

  it("is highest at its peak", () => {
    const curve = fitCurve(pointsOf(form), { form });
    const { d, reward } = curve.peak as { d: number; reward: number };
    for (const aside of [-0.05, 0.05]) expect(curveAt(curve, d + aside)).toBeLessThan(reward);
  });
});

describe("a fit", () => {
  it("has an R2 of 1 less the share of the variance that is left", () => {
    // y = d through four points, of which two are off by 1/2: residuals computed by hand
    const points = [0, 1, 2, 3].map((d) => ({ d, reward: d === 1 ? 1.5 : d === 2 ? 1.5 : d }));
    const { r2, alpha, beta, start } = fitCurve(points, { form: "best-of-n" });
    const rest = points.reduce(
      (sum, { d, reward }) => sum + (reward - (start + alpha * d - beta * d * d)) ** 2,
      0,
    );
    expect(r2).toBeCloseTo(1 - rest / 4.5, 10);
    expect(r2).toBeLessThan(1);
  });

  it("has no peak where the reward rises ever faster, or falls from the start", () => {
    const rising = distances.map((d) => ({ d, reward: d + d * d }));
    const falling = distances.map((d) => ({ d, reward: -d - d * d }));
    for (const points of [rising, falling])
      expect(fitCurve(points, { form: "best-of-n" })).not.toHaveProperty("peak");
  });

  it("is refused with fewer distances than unknowns, or with what is no number", () => {
    const two = [0, 1].map((d) => ({ d, reward: d }));
    expect(() => fitCurve(two, { form: "rl" })).toThrow("at least 3 different distances are required, got 2");
    expect(() => fitCurve(two, { form: "rl", start: 0 })).toThrow("at least 2");
    expect(() => fitCurve([{ d: -1, reward: 0 }], { form: "rl" })).toThrow("at least 0");
    expect(() => fitCurve([{ d: 1, reward: Number.NaN }], { form: "rl" })).toThrow("finite");
  });
});

describe("the interval of a peak", () => {
  it("holds the planted peak about as often as it says", () => {
    let held = 0;
    const studies = 60;
    for (let study = 0; study < studies; study++) {
      const runs = Array.from({ length: 5 }, (_, run) => pointsOf("best-of-n", 0.05, 100 * study + run));
      const { peak } = fitRuns(runs, { form: "best-of-n", n: 200, seed: study });
      if (peak && peak.low <= peaks["best-of-n"] && peaks["best-of-n"] <= peak.high) held++;
    }
    expect(held / studies).toBeGreaterThan(0.85);
  });

  it("widens with noise, is a function of the seed, and the band holds the curve", () => {
    const width = (noise: number) => {
      const runs = [0, 1, 2].map((run) => pointsOf("rl", noise, run));
      const { peak, band, curve } = fitRuns(runs, { form: "rl", n: 200, seed: 7 });
      expect(fitRuns(runs, { form: "rl", n: 200, seed: 7 }).peak).toEqual(peak);
      const inside = band.filter(({ d, low, high }) => curveAt(curve, d) >= low && curveAt(curve, d) <= high);
      expect(inside.length).toBeGreaterThan(40);
      return (peak?.high ?? Number.NaN) - (peak?.low ?? Number.NaN);
    };
    expect(width(0.04)).toBeGreaterThan(width(0.004));
  });

  it("has no end where many of the resampled curves do not turn", () => {
    const runs = [0, 1, 2].map((seed) =>
      pointsOf("best-of-n", 0, seed).map(({ d }) => ({ d, reward: d + (seed === 0 ? 0.05 : -0.05) * d * d })),
    );
    const { peaked, peak } = fitRuns(runs, { form: "best-of-n", n: 200 });
    expect(peaked).toBeLessThan(1);
    expect(peak?.high).toBe(Number.POSITIVE_INFINITY);
  });
});
