import { expect, it } from "vitest";
import { checkStart, largestDifference } from "./checks.ts";

const rows = (value: number, count = 512, length = 512) =>
  Array.from({ length: count }, () => new Float64Array(length).fill(value));

it("the largest difference of a quarter of a million tokens is found", () => {
  const [a, b] = [rows(1), rows(1)];
  (b[300] as Float64Array)[17] = 3.5;
  expect(largestDifference(a, b)).toBe(2.5);
  expect(largestDifference(b, a)).toBe(2.5);
  expect(largestDifference(a, a)).toBe(0);
});

it("what is no number is no equality, wherever it stands", () => {
  const [a, b] = [rows(1, 3, 4), rows(1, 3, 4)];
  (a[0] as Float64Array)[1] = Number.NaN;
  (b[2] as Float64Array)[3] = 9;
  const found = largestDifference(a, b);
  expect(() => checkStart(found, "at sampling and in training", 1)).toThrow(/differ by up to/);
  (b[2] as Float64Array)[3] = 1;
  expect(() => checkStart(largestDifference(a, b), "at sampling", 1)).toThrow(/differ by up to NaN nats/);
});
