import { describe, expect, it } from "vitest";
import type { FrontierFigures, SettingFigures } from "../frontier/figures.ts";
import { frontierPlots } from "./frontier-plots.ts";

const within = (mean: number, half: number) => ({ mean, low: mean - half, high: mean + half });

interface Planted {
  readonly kl: number;
  readonly gold: number;
  readonly proxy: number;
  readonly half: number;
}

/** A strong penalty gains gold, a weak one proxy alone. */
const figuresOf = (settings: readonly Planted[]): FrontierFigures => ({
  name: "planted",
  prompts: 10,
  settings: settings.map(
    ({ kl, gold, proxy, half }, i): SettingFigures => ({
      group: `ppo kl_coef ${i}`,
      stage: "ppo",
      trainer: "ppo",
      fields: { "ppo.kl_coef": i },
      seeds: [],
      kl: within(kl, half),
      gold: within(gold, half),
      proxy: within(proxy, half),
      seconds: within(1, 0),
      onFrontier: i === 0,
    }),
  ),
});

/** Each plot of the section: its fills of large dots in the order of the settings, its note, its arrows. */
function plotsOf(figures: FrontierFigures) {
  return frontierPlots(figures)
    .content.html.split("<figure>")
    .slice(1)
    .map((text) => ({
      fills: [...text.matchAll(/<circle [^>]*r="5"[^>]*>/g)].map(([dot]) => !dot.includes("--card")),
      note: text.match(/<p class="note">(.*?)<\/p>/s)?.[1] ?? "",
      arrows: [...text.matchAll(/<path [^>]*rotate\((\d+)\)/g)].map(([, turn]) => Number(turn)),
    }));
}

describe("the plots of a frontier", () => {
  const settings = [
    { kl: 1, gold: 0.3, proxy: 0.5, half: 0.05 },
    { kl: 2, gold: -0.1, proxy: 0.9, half: 0.05 },
    { kl: 3, gold: -0.2, proxy: 0.7, half: 0.05 },
  ];

  it("fill what no other setting beats by the reward that they show, and say which that is", () => {
    const [gold, proxy] = plotsOf(figuresOf(settings));
    expect(gold?.fills).toEqual([true, false, false]);
    expect(gold?.note).toContain("more gold reward at as little KL");
    expect(proxy?.fills).toEqual([true, true, false]);
    expect(proxy?.note).toContain("more proxy reward at as little KL");
  });

  it("hold their intervals, and mark those that are too wide to be held", () => {
    const plots = plotsOf(figuresOf(settings));
    expect(plots).toHaveLength(2);
    for (const { arrows, note } of plots) {
      expect(arrows).toEqual([]);
      expect(note).not.toContain("Arrows");
    }
    const wide = settings.map((setting, i) => ({ ...setting, half: i === 1 ? 60 : 0.05 }));
    for (const { arrows, note } of plotsOf(figuresOf(wide))) {
      expect(arrows).toEqual([0, 90, 180]);
      expect(note).toContain("Arrows: an interval goes on beyond the plot");
    }
  });
});
