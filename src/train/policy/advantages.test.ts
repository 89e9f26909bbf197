import { expect, it } from "vitest";
import { gae, tokenRewards, whiten } from "./advantages.ts";

const row = (...values: number[]) => Float64Array.from(values);
const expectRow = (got: Float64Array | undefined, ...wanted: number[]) => {
  expect(got?.length).toBe(wanted.length);
  for (const [i, x] of wanted.entries()) expect(got?.[i]).toBeCloseTo(x, 10);
};

it("each token pays for its KL, and the last one alone gets the score", () => {
  expectRow(tokenRewards([0.5, -0.25, 1], 0.1, 2), -0.05, 0.025, 1.9);
  expectRow(tokenRewards([0.5, 1], 0, 2), 0, 2);
  expectRow(tokenRewards([0.5], 1, 2), 1.5);
});

it("GAE is the sum of discounted errors, worked by hand", () => {
  // delta_2 = 2 - 0.5 = 1.5; delta_1 = 1 + 0.9 * 0.5 - 2 = -0.55; delta_0 = 0 + 0.9 * 2 - 1 = 0.8
  const { advantages, returns } = gae(row(0, 1, 2), [1, 2, 0.5], { gamma: 0.9, lam: 0.5 });
  expectRow(advantages, 0.8 + 0.45 * (-0.55 + 0.45 * 1.5), -0.55 + 0.45 * 1.5, 1.5);
  expectRow(returns, 1 + (advantages[0] as number), 2 + (advantages[1] as number), 2);
});

it("with lambda 1 the return is what is still to come, with lambda 0 the one-step target", () => {
  const [rewards, values] = [row(1, 2, 3), [5, 6, 7]];
  expectRow(gae(rewards, values, { gamma: 1, lam: 1 }).returns, 6, 5, 3);
  expectRow(gae(rewards, values, { gamma: 1, lam: 0 }).returns, 1 + 6, 2 + 7, 3);
});

it("every token has a value and an advantage of its own, not one for the sequence", () => {
  const { advantages } = gae(row(0, 0, 1), [0.1, 0.5, 0.9], { gamma: 1, lam: 0.95 });
  expect(new Set(advantages).size).toBe(3);
});

it("whitening takes mean and biased deviation over the tokens of all rows", () => {
  // of 1, 2, 3 and 6: mean 3, variance (4 + 1 + 0 + 9) / 4
  const scale = 1 / Math.sqrt(14 / 4 + 1e-8);
  const rows = [row(1, 2, 3), row(6)];
  const [a, b] = whiten(rows);
  expectRow(a, -2 * scale, -scale, 0);
  expectRow(b, 3 * scale);
  expectRow(whiten(rows, { shiftMean: false })[1], 3 * scale + 3);
  expectRow(whiten([row(4, 4)])[0], 0, 0);
});

it("a score keeps its sign when rewards are whitened without shifting their mean", () => {
  const rows = whiten([row(0, 0, 5), row(0, 4)], { shiftMean: false });
  expect(rows[0]?.[2]).toBeGreaterThan(0);
  expect(rows[1]?.[1]).toBeGreaterThan(0);
});
