import { describe, expect, it } from "vitest";
import { createDraw, hashText } from "./draw.ts";
import { axes, type KindName, kindNames, type Level, levels } from "./kind.ts";
import { kinds } from "./kinds/index.ts";
import { drawPrompt, readPrompt } from "./prompt.ts";
import { readAnswer } from "./reading.ts";
import { townStories } from "./stories.ts";
import { names, residentOf, residents } from "./town.ts";
import { createWorld } from "./world.ts";

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

describe("the world", () => {
  const world = createWorld({ seed: 3 });

  it("is the same for a seed, another for another, and begins alike at any size", () => {
    const again = createWorld({ seed: 3 });
    const other = createWorld({ seed: 4 });
    expect(again.preferences(50, { noise: 0.2 })).toEqual(world.preferences(50, { noise: 0.2 }));
    expect(world.corpus(30)).toEqual(world.corpus(60).slice(0, 30));
    expect(other.demonstrations(20)).not.toEqual(world.demonstrations(20));
  });

  it("writes these very rows on every machine", () => {
    expect(hashText(JSON.stringify(createWorld().demonstrations(100)))).toBe(120978451);
  });

  it("holds out prompts of every kind that occur in no training data of any seed", () => {
    const held = new Set(world.prompts(2000, { split: "held-out" }).map(({ prompt }) => bare(prompt)));
    const kindsHeld = world.prompts(70, { split: "held-out" }).map(({ kind }) => kind);
    expect(new Set(kindsHeld)).toEqual(new Set(kindNames));
    const other = createWorld({ seed: 99 });
    const seen = [
      ...other.prompts(5000).map(({ prompt }) => prompt),
      ...other.preferences(1000).map(({ prompt }) => prompt),
      ...other.demonstrations(1000).map(({ prompt }) => prompt),
      ...other.corpus(5000).map(({ text }) => `${text.split("\nAnswer:")[0]}\nAnswer:`),
    ];
    expect(seen.filter((prompt) => held.has(bare(prompt)))).toEqual([]);
  });

  it("has more sums, with results and without answers, most of which are not among the worked ones", () => {
    const sums = world.sums(500);
    const worked = new Set(world.arithmetic(500).map(({ prompt }) => bare(prompt)));
    const held = new Set(world.arithmetic(500, { split: "held-out" }).map(({ prompt }) => bare(prompt)));
    for (const row of sums) {
      expect(Object.keys(row)).toEqual(["id", "prompt", "kind", "answer"]);
      const [, a, operation, b] = /(\d(?: \d)*) (plus|minus) (\d(?: \d)*)/.exec(
        row.prompt,
      ) as unknown as string[];
      const [x, y] = [a, b].map((digits) => Number(digits?.replaceAll(" ", ""))) as [number, number];
      expect(row.answer.replaceAll(" ", "")).toBe(String(operation === "plus" ? x + y : x - y));
      expect(held).not.toContain(bare(row.prompt));
    }
    expect(sums.filter(({ prompt }) => worked.has(bare(prompt))).length).toBeLessThan(100);
  });

  it("has tens of thousands of different prompts", () => {
    const prompts = new Set(world.prompts(60_000).map(({ prompt }) => prompt));
    expect(prompts.size).toBeGreaterThan(20_000);
  });

  it("reads every prompt that it writes back as the task it was, greeted or not, framed or not", () => {
    for (const kind of kinds)
      for (let i = 0; i < 300; i++) {
        const asked = drawPrompt(kind, "train", createDraw(1, i));
        const found = readPrompt(asked.prompt);
        expect(found?.kind.name).toBe(kind.name);
        expect(found?.kind.key(found.task)).toBe(kind.key(asked.task));
        expect(readPrompt(kind.ask(asked.task))?.kind.name).toBe(kind.name);
      }
  });

  it("reads every answer that it writes, to the last word", () => {
    for (const kind of kinds)
      for (const level of levels)
        for (const { manner, write } of kind.answers[level])
          for (let i = 0; i < 60; i++) {
            const draw = createDraw(2, i);
            const { task } = drawPrompt(kind, "train", draw);
            const text = write(task, draw);
            expect({ manner, text, unread: readAnswer(text).unread }).toEqual({ manner, text, unread: 0 });
          }
  });

  it("has pairs whose chosen answer the annotator likes better, save the stated share of noise", () => {
    const clean = world.preferences(1500);
    const noisy = world.preferences(1500, { noise: 0.2 });
    const right = (row: (typeof clean)[number]) =>
      world.goldScore(row.prompt, row.chosen).overall > world.goldScore(row.prompt, row.rejected).overall;
    expect(mean(clean.map((row) => Number(right(row))))).toBeGreaterThan(0.97);
    expect(mean(noisy.map((row) => Number(right(row))))).toBeCloseTo(0.8, 1);
    expect(mean(noisy.map(({ noise }) => Number(noise)))).toBeCloseTo(0.2, 1);
    expect(clean.some(({ tie }) => tie)).toBe(false);
    const tied = world.preferences(1500, { ties: true }).filter(({ tie }) => tie);
    expect(tied.length).toBeGreaterThan(20);
    for (const { chosen, rejected } of clean) expect(chosen).not.toBe(rejected);
  });

  it("has annotators that do not always agree, as people do not", () => {
    const rows = world.preferences(2000, { margins: true });
    expect(new Set(rows.map(({ annotator }) => annotator)).size).toBe(4);
    expect(rows.every(({ margin }) => (margin as number) > 0)).toBe(true);
  });

  it("ranks and rates by quality", () => {
    for (const { ranks, levels: found } of world.rankings(200)) {
      const low = found.flatMap((level, i) => (level === "low" ? [ranks[i] as number] : []));
      const high = found.flatMap((level, i) => (level === "high" ? [ranks[i] as number] : []));
      expect(Math.min(...ranks)).toBe(1);
      expect(mean(high)).toBeLessThan(mean(low));
    }
    const ratings = world.ratings(600);
    const of = (level: Level) =>
      mean(ratings.filter((row) => row.level === level).map(({ rating }) => rating));
    expect(of("high")).toBeGreaterThan(of("medium"));
    expect(of("medium")).toBeGreaterThan(of("low"));
    expect(new Set(ratings.map(({ rating }) => rating))).toEqual(new Set([1, 2, 3, 4, 5]));
  });

  it("answers a prompt given as text, and says what it needs when it is none of its own", () => {
    const { prompt } = world.prompts(1)[0] as { prompt: string };
    expect(world.respond(prompt, "high").level).toBe("high");
    expect(() => world.respond("Who are you?", "high")).toThrow(/a prompt of the built-in world is required/);
    expect(() => world.goldScore("Who are you?", "me")).toThrow(/attune data world/);
  });

  it("is quick: a hundred thousand prompts in a few seconds", () => {
    const started = performance.now();
    world.prompts(100_000);
    expect(performance.now() - started).toBeLessThan(8000);
  });
});

const bare = (prompt: string): string => {
  const asked = readPrompt(prompt);
  return asked ? `${asked.kind.name} ${asked.kind.key(asked.task)}` : prompt;
};

describe("the town", () => {
  it("has neighbours that agree with each other and share a street", () => {
    for (const { name, neighbour, street } of residents) {
      expect(residentOf(neighbour)?.neighbour).toBe(name);
      expect(residentOf(neighbour)?.street).toBe(street);
    }
    expect(new Set(names).size).toBe(16);
  });

  it("tells stories that are the same for a seed and number, wherever the telling begins", () => {
    const stories = townStories(30, 5);
    expect(townStories(10, 5, 20)).toEqual(stories.slice(20));
    expect(townStories(30, 6)).not.toEqual(stories);
  });
});

describe("graded quality", () => {
  const scores = (kind: (typeof kinds)[number], level: Level, from: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const draw = createDraw(7, from + i);
      const { task, prompt } = drawPrompt(kind, "train", draw);
      const { write } = draw.weighted(kind.answers[level]);
      return createWorld().goldScore(prompt, ` ${write(task, draw)}`);
    });

  it.each(kindNames)("means more gold the higher the level: %s", (name: KindName) => {
    const kind = kinds.find((each) => each.name === name) as (typeof kinds)[number];
    const [high, medium, low] = levels.map((level) => scores(kind, level, 0, 300)) as [
      ReturnType<typeof scores>,
      ReturnType<typeof scores>,
      ReturnType<typeof scores>,
    ];
    const overall = (list: typeof high) => mean(list.map((score) => score.overall));
    expect(overall(high)).toBeGreaterThan(overall(medium) + 0.2);
    expect(overall(medium)).toBeGreaterThan(overall(low) + 0.4);
    const wins = high.filter((score, i) => score.overall > (low[i]?.overall ?? 1)).length;
    expect(wins / high.length).toBeGreaterThan(0.98);
    for (const axis of axes) {
      const at = (list: typeof high) => mean(list.map((score) => score[axis]));
      expect(at(high)).toBeGreaterThan(at(low));
    }
  });
});
