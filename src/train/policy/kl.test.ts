import { expect, it } from "vitest";
import { compile, type HostArray, hostArray, sum, type Tensor, valueAndGrad } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { gaussian, uniform } from "../../graph/random.ts";
import {
  checkKlControl,
  entropyOf,
  exactKl,
  type KlControl,
  klEstimators,
  klTerms,
  nextKlCoef,
} from "./kl.ts";

const control: KlControl = {
  klSchedule: "fixed",
  klCoef: 0.15,
  klCoefEnd: 0.05,
  klTarget: 6,
  klHorizon: 10_000,
};
const reading = { step: 1, totalSteps: 11, kl: 6, responses: 100 };

it("the estimators of a log ratio are those of their definitions", () => {
  const { k1, k2, k3 } = klEstimators;
  expect(k1(-0.5)).toBe(-0.5);
  expect(k2(-0.5)).toBe(0.125);
  expect(k3(Math.log(2))).toBeCloseTo(0.5 - 1 + Math.log(2), 12);
  for (const r of [-2, -1e-9, 0, 1e-9, 3]) expect(k3(r)).toBeGreaterThanOrEqual(0);
});

const softmax = (logits: ArrayLike<number>) => {
  const e = Array.from(logits, Math.exp);
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / total);
};
const first = gaussian(new Float32Array(6), 3, 1);
const second = gaussian(new Float32Array(6), 3, 2, 0.4).map((x, i) => x + (first[i] as number));
const [p, q] = [softmax(first), softmax(second)] as [number[], number[]];
const logRatios = p.map((x, i) => Math.log(x / (q[i] as number)));
const kl = p.reduce((total, x, i) => total + x * (logRatios[i] as number), 0);

it("k1 and k3 have the exact KL as their mean, and k3 spreads less where models are close", () => {
  let [n, s1, s3, q1, q3] = [20_000, 0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    let u = uniform(7, i);
    const token = p.findIndex((x) => (u -= x) < 0);
    const [a, b] = [klEstimators.k1, klEstimators.k3].map((k) => k(logRatios[token] as number)) as [
      number,
      number,
    ];
    [s1, s3, q1, q3] = [s1 + a, s3 + b, q1 + a * a, q3 + b * b];
  }
  expect(s1 / n).toBeCloseTo(kl, 1);
  expect(s3 / n).toBeCloseTo(kl, 1);
  expect(q3 / n - (s3 / n) ** 2).toBeLessThan(q1 / n - (s1 / n) ** 2);
});

it("exact KL and entropy sum over the vocabulary, and the terms of a loss have the estimators' values and slopes", async () => {
  const engine = await createEngine({ threads: 1 });
  const row = { dtype: "float32" as const, shape: [1, 6] };
  const program = await engine.load(
    compile(
      ({ a, b }) => ({
        kl: exactKl(a as Tensor, b as Tensor),
        none: exactKl(a as Tensor, a as Tensor),
        entropy: entropyOf(a as Tensor),
      }),
      [{ a: row, b: row }] as const,
    ),
  );
  const at = (values: Float32Array) => hostArray("float32", [1, 6], values);
  const out = await engine.run(program, [{ a: at(first), b: at(second) }]);
  expect((out.kl as HostArray).data[0]).toBeCloseTo(kl, 5);
  expect((out.none as HostArray).data[0]).toBe(0);
  expect((out.entropy as HostArray).data[0]).toBeCloseTo(-p.reduce((s, x) => s + x * Math.log(x), 0), 5);

  const ratios = [-0.8, 0.1, 1.2];
  for (const [name, term] of Object.entries(klTerms)) {
    const slope = await engine.load(
      compile(
        (params) => {
          const [value, gradient] = valueAndGrad(({ r }) => sum(term(r as Tensor)))(params);
          return { value, gradient };
        },
        [{ r: { dtype: "float32", shape: [3] } }] as const,
      ),
    );
    const found = await engine.run(slope, [{ r: hostArray("float32", [3], ratios) }]);
    const estimate = klEstimators[name as keyof typeof klTerms];
    expect((found.value as HostArray).data[0]).toBeCloseTo(
      ratios.reduce((s, r) => s + estimate(r), 0),
      5,
    );
    const gradient = (found.gradient as { r: HostArray }).r.data;
    for (const [i, r] of ratios.entries())
      expect(gradient[i]).toBeCloseTo((estimate(r + 1e-5) - estimate(r - 1e-5)) / 2e-5, 4);
  }
  await engine.dispose();
});

it("the adaptive coefficient rises when the KL is above its target, falls below it, and holds at it", () => {
  const adaptive = { ...control, klSchedule: "adaptive" as const };
  const next = (value: number) => nextKlCoef(0.15, adaptive, { ...reading, kl: value });
  expect(next(6)).toBe(0.15);
  expect(next(6.6)).toBeCloseTo(0.15 * (1 + (0.1 * 100) / 10_000), 12);
  expect(next(60)).toBeCloseTo(0.15 * (1 + (0.2 * 100) / 10_000), 12);
  expect(next(0)).toBeCloseTo(0.15 * (1 - (0.2 * 100) / 10_000), 12);
});

it("annealed coefficients go from the first to the last, halfway at half the way", () => {
  for (const klSchedule of ["linear", "cosine"] as const) {
    const at = (step: number) => nextKlCoef(1, { ...control, klSchedule }, { ...reading, step });
    expect(at(0)).toBeCloseTo(0.15, 12);
    expect(at(5)).toBeCloseTo(0.1, 12);
    expect(at(10)).toBeCloseTo(0.05, 12);
    expect(at(12)).toBeCloseTo(0.05, 12);
  }
  expect(nextKlCoef(0.3, control, reading)).toBe(0.3);
});

it("refuses coefficients and targets that cannot be meant", () => {
  expect(() => checkKlControl({ ...control, klCoef: -1 })).toThrow(/kl_coef: at least 0/);
  expect(() => checkKlControl({ ...control, klSchedule: "adaptive", klTarget: 0 })).toThrow(
    /nats per response/,
  );
  expect(() => checkKlControl({ ...control, klSchedule: "adaptive", klCoef: 0 })).toThrow(
    /cannot start at 0/,
  );
  expect(() => checkKlControl({ ...control, klCoef: 0 })).not.toThrow();
});
