import { expect, it } from "vitest";
import { rewardModelReport, type ScoredPair } from "./reward-model.ts";

const pair = (chosen: number, rejected: number, lengths = { chosen: 4, rejected: 2 }): ScoredPair => ({
  chosen,
  rejected,
  lengths,
});

it("accuracy is the share of pairs that are told apart; equal scores count half", () => {
  const report = rewardModelReport([pair(2, 1), pair(0, 3), pair(1, 1), pair(5, -5)]);
  expect(report.accuracy).toBe(0.625);
  expect(report.pairs).toBe(4);
});

it("accuracy by margin goes from the least to the most decided fifth, and holds every pair once", () => {
  const pairs = Array.from({ length: 50 }, (_, i) => (i < 10 ? pair(0, i / 10 + 0.01) : pair(i, 0)));
  const { accuracy_by_margin: bins } = rewardModelReport(pairs);
  expect(bins.map(({ count }) => count)).toEqual([10, 10, 10, 10, 10]);
  expect(bins.map(({ accuracy }) => accuracy)).toEqual([0, 1, 1, 1, 1]);
  for (const { low, high } of bins) expect(high).toBeGreaterThan(low);
});

it("is calibrated when of pairs with a lead of log 3 three in four are right, whatever the normalisation", () => {
  const lead = Math.log(3);
  const pairs = [pair(lead, 0), pair(lead, 0), pair(lead, 0), pair(0, lead)];
  for (const std of [1, 10]) {
    const { calibration, std: spread } = rewardModelReport(pairs, { mean: 2, std });
    expect(calibration.ece).toBeCloseTo(0, 6);
    expect(calibration.bins).toHaveLength(1);
    expect(calibration.bins[0]?.predicted).toBeCloseTo(0.75, 6);
    expect(spread).toBeLessThan(1);
  }
});

it("tells when the longer response has the higher score", () => {
  const long = { chosen: 30, rejected: 10 };
  expect(rewardModelReport([pair(3, 1, long), pair(3, 1, long)]).length_correlation).toBeCloseTo(1, 6);
  expect(rewardModelReport([pair(1, 3, long), pair(1, 3, long)]).length_correlation).toBeCloseTo(-1, 6);
  const same = { chosen: 7, rejected: 7 };
  expect(rewardModelReport([pair(3, 1, same)]).length_correlation).toBe(0);
});

it("has mean and spread of the normalised scores, over all and by level", () => {
  const levels = { chosen: "high", rejected: "low" };
  const report = rewardModelReport(
    [
      { ...pair(5, 1), levels },
      { ...pair(7, 3), levels },
    ],
    { mean: 4, std: 2 },
  );
  expect(report.mean).toBe(0);
  expect(report.score_by_level).toMatchObject({
    high: { mean: 1, count: 2 },
    low: { mean: -1, count: 2 },
  });
  expect(rewardModelReport([pair(1, 0)]).score_by_level).toBeUndefined();
});
