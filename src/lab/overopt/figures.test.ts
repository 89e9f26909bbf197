import { describe, expect, it } from "vitest";
import { frontierFigures, overSeeds } from "../frontier/figures.ts";
import { frontierPage } from "../report/frontier-page.ts";
import { overoptPage } from "../report/overopt-page.ts";
import { overoptFigures } from "./figures.ts";
import type { RunGroup } from "./groups.ts";
import { linesOf } from "./overopt.ts";
import { planted, plantedFair } from "./study.fixture.ts";

describe("the figures of a study", () => {
  const figures = overoptFigures(planted(), { scales: { proxy: 1 }, n: 200 });
  const [group] = figures.groups;

  it("find the curve that the runs follow, and that the reward was hacked", () => {
    expect(group?.seeds).toBe(2);
    expect(group?.fit?.curve.r2).toBeGreaterThan(0.95);
    expect(group?.fit?.curve.alpha).toBeCloseTo(0.4, 1);
    expect(group?.fit?.peak?.mean).toBeCloseTo(Math.exp(0.4 / 0.3 - 1), 0);
    expect(group?.change.proxy).toBeGreaterThan(1);
    expect(group?.change.gold_since_best).toBeLessThan(-0.1);
    expect(group?.best?.step).toBeGreaterThan(0);
    expect(group?.fall?.high).toBeLessThan(0);
    expect(group?.outcome).toBe("hacked");
    expect(overoptPage(figures)).toContain("In 1 of 1 settings the gold reward fell from its best");
  });

  it("do not call a run hacked whose end is below the best of its snapshots by noise alone", () => {
    const fair = overoptFigures(plantedFair(), { n: 200 });
    const [only] = fair.groups as [RunGroup];
    expect(only.change.proxy).toBeGreaterThan(0);
    expect(only.change.gold_since_best).toBeLessThan(0);
    expect(only.fall?.mean).toBeCloseTo(only.change.gold_since_best as number, 10);
    expect(only.outcome).toBe("within noise");
    const page = overoptPage(fair);
    expect(page).toContain("within noise: a fall is not shown");
    expect(page).not.toMatch(/<p class="lead">[^<]*hacked/);
  });

  it("do not call it hacked either where the proxy falls with the gold reward", () => {
    const both = plantedFair();
    const late = (step: number, value: number) => value - (step > 8 ? 1 : 0);
    const cells = both.cells.map((cell) => ({
      ...cell,
      responses: cell.responses.map((row) => ({
        ...row,
        gold: late(row.step, row.gold as number),
        proxy: late(row.step, row.proxy as number),
      })),
      points: cell.points.map((point) => {
        const reward = { mean: late(point.step, point.gold?.mean as number), low: 0, high: 0 };
        return { ...point, gold: reward, proxy: reward };
      }),
    }));
    const [group] = overoptFigures({ ...both, cells }, { n: 200 }).groups;
    expect(group?.fall?.high).toBeLessThan(0);
    expect(group?.outcome).toBe("fell");
  });

  it("set no peak beside another where one of both has none, and say whose the tiles are", () => {
    const data = planted();
    const falling = data.cells.map((cell) => ({
      ...cell,
      group: `other, ${cell.group}`,
      proxy: "other",
      points: cell.points.map((point) => ({
        ...point,
        gold: { mean: 0.2 - 0.3 * point.step, low: 0, high: 0 },
      })),
    }));
    const named = data.cells.map((cell) => ({ ...cell, group: `one, ${cell.group}`, proxy: "one" }));
    const found = overoptFigures({ ...data, cells: [...falling, ...named] }, { n: 50 });
    expect(found.groups.map(({ highest, shift, beside }) => [highest?.course, shift, beside])).toEqual([
      ["falls from the start", undefined, undefined],
      ["turns", undefined, "other, ppo kl_coef 0"],
    ]);
    expect(linesOf(found)[1]).toContain("falls from the start");
    expect(linesOf(found)[2]).toContain("beside the first no peak to compare");
    const page = overoptPage(found);
    expect(page).toContain("no peak to compare");
    expect(page).toMatch(/<dt>the fitted curve<\/dt><dd>falls from the start<small>other, ppo kl_coef 0</);
    expect(page).toMatch(/R\u00b2 [\d.]+<small>other, ppo kl_coef 0/);
  });

  it("have best-of-n from the reference's samples, whose proxy rises", () => {
    const [proxy] = figures.proxies;
    expect(proxy?.bestOfN.map(({ n }) => n)).toEqual([1, 2, 4, 8]);
    const rewards = proxy?.bestOfN.map(({ proxy: { mean } }) => mean) ?? [];
    expect([...rewards].sort((a, b) => a - b)).toEqual(rewards);
    expect(proxy?.start.gold).toBeCloseTo(figures.start.gold?.mean as number, 10);
  });

  it("say how the proxy judges the policy's own pairs, worse the farther it has gone", () => {
    const judge = figures.proxies[0]?.judge ?? [];
    expect(judge[0]?.low).toBe(0);
    expect(judge[0]?.accuracy).toBeGreaterThan((judge.at(-1)?.accuracy ?? 1) + 0.1);
    expect(judge[0]?.calibration?.bins.length).toBeGreaterThan(2);
  });

  it("show each of the widest gaps once", () => {
    expect(figures.gaps.length).toBeGreaterThan(2);
    expect(new Set(figures.gaps.map(({ completion }) => completion)).size).toBe(figures.gaps.length);
    expect(figures.gaps[0]?.gap).toBeGreaterThanOrEqual(figures.gaps[1]?.gap as number);
  });

  it("become a page that fetches nothing and runs nothing, whatever the responses are", () => {
    const page = overoptPage(figures);
    const ids = [...page.matchAll(/<section id="([\w-]+)"/g)].map(([, id]) => id);
    expect(ids).toEqual(["rl", "best-of-n", "drift", "judge", "gaps"]);
    expect(page.includes("default-src &#39;none&#39;")).toBe(true);
    expect(page.includes("&lt;script&gt;")).toBe(true);
    expect(page.match(/<script|https?:\/\/(?!www\.w3\.org)|NaN|undefined/)).toBeNull();
  });
});

describe("a frontier", () => {
  it("has a row a setting, with intervals over its seeds, and knows which ones nothing beats", () => {
    const figures = frontierFigures(planted());
    const [setting] = figures.settings;
    expect(setting).toMatchObject({ stage: "ppo", onFrontier: true, seeds: [{ seed: 1 }, { seed: 2 }] });
    expect(setting?.gold?.low).toBeLessThan(setting?.gold?.mean as number);
    const page = frontierPage(figures);
    const ids = [...page.matchAll(/<section id="([\w-]+)"/g)].map(([, id]) => id);
    expect(ids).toEqual(["frontier", "settings", "costs", "seeds"]);
    expect(page.match(/NaN|undefined/)).toBeNull();
  });

  it("takes three seeds for no more than they are: Student's t with two degrees of freedom", () => {
    const [a, b, c] = [1, 2, 3].map((mean) => ({ mean, low: mean, high: mean }));
    const { mean, low, high } = overSeeds([a, b, c] as never);
    expect(mean).toBe(2);
    expect(high - 2).toBeCloseTo((4.303 * 1) / Math.sqrt(3), 3);
    expect(2 - low).toBeCloseTo(high - 2, 12);
  });
});
