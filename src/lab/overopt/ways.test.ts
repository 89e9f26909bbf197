import { describe, expect, it } from "vitest";
import { gaussian } from "../../graph/random.ts";
import { overoptPage } from "../report/overopt-page.ts";
import type { ReferenceSamples } from "../study/files.ts";
import { overoptFigures } from "./figures.ts";
import { planted } from "./study.fixture.ts";
import { verdictOf, type WayFigures, waysFigures } from "./ways.ts";

/**
 * Samples with a quality and a length. What is liked is the quality with noise of its own, and, the more the greedier a
 * way is, the length; gold is the quality less a charge for what is very long.
 */
function samples(): ReferenceSamples[] {
  const [prompts, each] = [60, 32];
  const draw = (k: number) => {
    const out = new Float32Array(prompts * each);
    gaussian(out, 5, k, 1);
    return out;
  };
  const [quality, length, ...noise] = Array.from({ length: 8 }, (_, k) => draw(k)) as [
    Float32Array,
    Float32Array,
    ...Float32Array[],
  ];
  return Array.from({ length: prompts }, (_, p) => {
    const own = Array.from({ length: each }, (_, k) => p * each + k);
    const at = (of: Float32Array, i: number) => of[i] as number;
    const liked = (greed: number, seed: number) =>
      own.map((i) => at(quality, i) + greed * at(length, i) + 0.5 * at(noise[seed] as Float32Array, i));
    return {
      prompt: `${p}`,
      completions: own.map(String),
      tokens: own.map(() => 4),
      surprisals: own.map(() => 1),
      terminated: own.map(() => true),
      gold: own.map((i) => at(quality, i) - 1.2 * Math.max(0, at(length, i)) ** 2),
      proxies: {
        "plain#1": liked(1, 0),
        "plain#2": liked(1, 1),
        "plain#3": liked(1, 2),
        "same again#1": liked(1, 3),
        "same again#2": liked(1, 4),
        "same again#3": liked(1, 5),
        "careful#1": liked(0.25, 0),
        "careful#2": liked(0.25, 1),
        "careful#3": liked(0.25, 2),
        gold: own.map((i) => at(quality, i) - 1.2 * Math.max(0, at(length, i)) ** 2),
      },
    };
  });
}

describe("ways to make a reward model, side by side", () => {
  const ways = waysFigures(samples(), { n: 200 }) as WayFigures[];
  const of = (name: string) => ways.find((way) => way.name === name) as WayFigures;

  it("are the proxies' names up to the #, with their seeds", () => {
    expect(ways.map(({ name, seeds }) => [name, seeds])).toEqual([
      ["plain", 3],
      ["same again", 3],
      ["careful", 3],
      ["gold", 1],
    ]);
    expect(of("plain").change).toBeUndefined();
  });

  it("move the peak where they do, and are not said to where they are the same", () => {
    expect(of("careful").peak.mean).toBeGreaterThan(of("plain").peak.mean);
    expect(of("careful").change?.moves).toBe("right");
    // It rises to the end: how far its peak lies beyond is the form's extrapolation.
    expect(of("careful").peak.course).toBe("rises to the end");
    expect(of("careful").change?.peak).toBeUndefined();
    expect(verdictOf(of("careful").change?.end as never)).toBe("more");
    expect(verdictOf(of("same again").change?.end as never)).toBe("not shown");
    expect(of("careful").best.gold).toBeGreaterThan(of("plain").best.gold);
  });

  it("have intervals of differences that are narrower than those of what differs", () => {
    const { end, change } = of("same again");
    expect((change?.end.high as number) - (change?.end.low as number)).toBeLessThan(end.high - end.low);
  });

  it("are there only where seeds are named, and become a table of the report", () => {
    expect(overoptFigures(planted(), { n: 20 }).ways).toBeUndefined();
    const data = { ...planted(), cells: [], reference: samples() };
    const page = overoptPage(overoptFigures(data, { n: 50 }));
    expect(page).toContain('<section id="ways"');
    expect(page).toMatch(/careful[\s\S]*right/);
    expect(page.match(/NaN|undefined/)).toBeNull();
  });
});
