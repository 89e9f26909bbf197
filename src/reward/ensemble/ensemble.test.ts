import { describe, expect, it } from "vitest";
import { type OpenedReward, openReward, type RewardInput } from "../index.ts";
import { combined } from "./combine.ts";
import { ensemble } from "./ensemble.ts";

const batch: RewardInput[] = [
  { prompt: "p", completion: "a" },
  { prompt: "p", completion: "bb" },
];
/** Scores of three members: they agree on the first response and not on the second. */
const members = [
  [1, 4],
  [1, -1],
  [1, 3],
];

describe("members' scores as one", () => {
  it("are the mean, the worst, or the mean less lambda times the variance", () => {
    const variance = (16 + 1 + 9) / 3 - 4;
    expect(combined(members).scores).toEqual([1, 2]);
    expect(combined(members).disagreement[0]).toBe(0);
    expect(combined(members).disagreement[1]).toBeCloseTo(variance, 12);
    expect(combined(members, { combine: "wco" }).scores).toEqual([1, -1]);
    expect(combined(members, { combine: "uwo", lambda: 0.3 }).scores[1]).toBeCloseTo(2 - 0.3 * variance, 12);
  });

  it("uwo takes the variance, not the deviation: twice the distance costs four times as much", () => {
    const cost = (distance: number) =>
      -(combined([[distance], [-distance]], { combine: "uwo", lambda: 1 }).scores[0] as number);
    expect(cost(2)).toBeCloseTo(4 * cost(1), 12);
  });

  it("do not change where all members agree, whatever the combination", () => {
    for (const combine of ["mean", "wco", "uwo"] as const)
      expect(combined([[0.25], [0.25], [0.25], [0.25]], { combine, lambda: 7 }).scores).toEqual([0.25]);
  });
});

describe("an ensemble", () => {
  const fixed = members.map((scores, i) => ({
    name: `member ${i + 1}`,
    score: () => scores,
    dispose: async () => {},
  }));

  it("is a reward that tells each member's scores and how far they are apart", async () => {
    const reward = ensemble(fixed, { combine: "wco" });
    expect(await reward.score(batch)).toEqual([1, -1]);
    expect(await reward.parts(batch)).toMatchObject({
      scores: [1, -1],
      parts: { "member 1": [1, 4], "member 2": [1, -1], "member 3": [1, 3] },
    });
    expect((await reward.parts(batch)).disagreement?.[1]).toBeGreaterThan(4);
    expect(await reward.score([])).toEqual([]);
  });

  it("of rules and functions, written as text, as an object, and as a part of a sum", async () => {
    const text = await openReward("ensemble:length,exclamation?combine=wco");
    expect(await text.score([{ prompt: "", completion: "one two!" }])).toEqual([1]);
    const sum = await openReward([
      { ensemble: ["length", () => [5]], combine: "mean", weight: 2 },
      { reward: "exclamation" },
    ]);
    expect(await sum.score([{ prompt: "", completion: "one two!" }])).toEqual([8]);
  });

  it("closes its members, names the one that fails, and is refused with fewer than two", async () => {
    let open = 2;
    const member: OpenedReward = { name: "m", score: () => [Number.NaN], dispose: async () => void open-- };
    const reward = ensemble([member, { ...member, score: () => [1] }]);
    await expect(reward.score(batch.slice(0, 1))).rejects.toThrow(
      /reward m: a finite number is required, got NaN/,
    );
    await reward.dispose();
    expect(open).toBe(0);
    expect(() => ensemble([member])).toThrow(/at least two members are required, got 1/);
    expect(() => ensemble(fixed, { lambda: Number.NaN })).toThrow(/lambda: a number of at least 0/);
  });
});
