import { expect, it } from "vitest";
import { observed, partFigures } from "./observed.ts";
import type { OpenedReward, RewardInput } from "./reward.ts";

const batch = ["a", "bb", "cccc"].map((completion): RewardInput => ({ prompt: "", completion }));
const lengths = (rows: readonly RewardInput[]) => rows.map(({ completion }) => completion.length);
const plain: OpenedReward = { name: "length", score: lengths, dispose: async () => {} };
const sum = (
  scores = (rows: readonly RewardInput[]) => lengths(rows).map((x) => 2 * x - 1),
): OpenedReward => ({
  name: "sum",
  score: async () => {
    throw new Error("asked for the scores alone");
  },
  parts: async (rows) => ({
    scores: scores(rows),
    parts: { length: lengths(rows), one: rows.map(() => 1) },
  }),
  dispose: async () => {},
});

it("a batch is told once with its scores, and with its parts where there are some", async () => {
  const seen: number[][] = [];
  const watched = observed(plain, (_, { scores }) => void seen.push([...scores]));
  expect(await watched.score(batch)).toEqual([1, 2, 4]);
  expect(watched).not.toHaveProperty("parts");
  expect(seen).toEqual([[1, 2, 4]]);

  const names: string[][] = [];
  const whole = observed(sum(), (_, { parts }) => void names.push(Object.keys(parts)));
  expect(await whole.score(batch)).toEqual([1, 3, 7]);
  expect((await whole.parts?.(batch))?.parts.one).toEqual([1, 1, 1]);
  expect(names).toEqual([
    ["length", "one"],
    ["length", "one"],
  ]);
});

it("watchers of a watched reward each hear of a batch once", async () => {
  const heard = { inner: 0, outer: 0 };
  const inner = observed(sum(), () => void heard.inner++);
  const outer = observed(inner, () => void heard.outer++);
  await outer.score(batch);
  expect(heard).toEqual({ inner: 1, outer: 1 });
});

it("scores of parts are held to the protocol", async () => {
  const watched = observed(
    sum(() => [1, Number.NaN, 2]),
    () => {},
  );
  await expect(watched.score(batch)).rejects.toThrow(
    /reward sum: a finite number is required, got NaN for row 2/,
  );
});

it("figures of parts are means and deviations since they were last taken, before weights", async () => {
  const figures = partFigures();
  const watched = observed(sum(), figures.see);
  await watched.score(batch);
  await watched.score(batch.slice(0, 1));
  const { "rewards/length/mean": mean, "rewards/length/std": std, ...one } = figures.take();
  expect(mean).toBe(2);
  expect(std).toBeCloseTo(Math.sqrt((1 + 0 + 4 + 1) / 3), 12);
  expect(one).toEqual({ "rewards/one/mean": 1, "rewards/one/std": 0 });
  expect(figures.take()).toEqual({});
});
