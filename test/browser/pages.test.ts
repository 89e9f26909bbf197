/** Every kind of page in Chromium, on a desk, on a phone and on paper: nothing is cut off, nothing lies over another. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { frontierFigures } from "../../src/lab/frontier/figures.ts";
import { overoptFigures } from "../../src/lab/overopt/figures.ts";
import { planted } from "../../src/lab/overopt/study.fixture.ts";
import { frontierPage } from "../../src/lab/report/frontier-page.ts";
import { overoptPage } from "../../src/lab/report/overopt-page.ts";
import { suitePage } from "../../src/recipe/suite/page.ts";
import type { SuiteResult } from "../../src/recipe/suite/result.ts";
import { writeReport } from "../../src/runs/report/report.ts";
import { writeFixtureRun } from "../../src/runs/report/run.fixture.ts";
import { chromiumPath, launch, whyNoChromium } from "./chromium.fixture.ts";

const title = "pages in Chromium";

const around = (mean: number) => ({ mean, low: mean - 0.1, high: mean + 0.1 });
const suite: SuiteResult = {
  name: "suite",
  attune: "0",
  seed: 42,
  baseline: "sft",
  gold: "gold",
  prompts: 8,
  models: ["sft", "ppo", "a-model-with-a-long-name"].map((name, i) => ({
    name,
    model: name,
    reward: { gold: around(0.1 * i), judge: around(0.2 * i) },
    ...(i > 0 && { win_rate: { rate: 0.6, low: 0.5, high: 0.7, n: 8 } }),
    perplexity: 3.2,
    length: { ...around(12), unit: "tokens" },
  })),
  leaderboard: {
    bradley_terry: ["sft", "ppo", "a-model-with-a-long-name"].map((player, i) => ({
      player,
      rating: 1000 - 50 * i,
      low: 900 - 50 * i,
      high: 1100 - 50 * i,
      games: 16,
      score: 0.5,
    })),
    elo: [],
  } as never,
  answers: [{ model: "sft", prompt: "Why?", completion: "Because.", score: 0.3 }],
};

/** A sweep of two fields, whose settings lie close together and have long names. */
function crowded() {
  const study = planted();
  const cells = [0.1, 0.2].flatMap((clip, a) =>
    [1e-4, 3e-4].flatMap((rate, b) =>
      study.cells.map((cell) => ({
        ...cell,
        group: `ppo cliprange ${clip} learning_rate ${rate}`,
        fields: { "ppo.cliprange": clip, "ppo.learning_rate": rate },
        points: cell.points.map((point) => ({
          ...point,
          kl: around((point.kl?.mean ?? 0) + 0.02 * a),
          gold: around((point.gold?.mean ?? 0) + 0.004 * b),
        })),
      })),
    ),
  );
  return { ...study, cells };
}

describe.skipIf(!chromiumPath)(chromiumPath ? title : `${title} (skipped: ${whyNoChromium})`, () => {
  let dir: string;
  let browser: Browser;
  const pages: Record<string, string> = {};
  beforeAll(async () => {
    browser = await launch();
    dir = await mkdtemp(join(tmpdir(), "attune-pages-"));
    const run = join(dir, "run");
    await writeFixtureRun(run, { prompts: 20 });
    pages.run = (await writeReport(run)).path;
    const written = {
      overopt: overoptPage(overoptFigures(planted(), { scales: { proxy: 1 }, n: 50 })),
      frontier: frontierPage(frontierFigures(planted())),
      sweep: frontierPage(frontierFigures(crowded())),
      suite: suitePage(suite),
    };
    for (const [name, text] of Object.entries(written)) {
      pages[name] = join(dir, `${name}.html`);
      await writeFile(pages[name], text);
    }
  });
  afterAll(async () => {
    await browser?.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** Labels of plots that are cut off or lie over one another, and whether the page is wider than its window. */
  const faults = (page: Page): Promise<string[]> =>
    page.evaluate(() => {
      const found: string[] = [];
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth > clientWidth) found.push(`${scrollWidth} wide in a window of ${clientWidth}`);
      for (const plot of document.querySelectorAll("svg.plot")) {
        const frame = plot.getBoundingClientRect();
        const name = plot.getAttribute("aria-label")?.slice(0, 40);
        const texts = [...plot.querySelectorAll("text")].filter(({ textContent }) => textContent?.trim());
        const boxes = texts.map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
        for (const { text, box } of boxes)
          if (
            box.left < frame.left - 1 ||
            box.right > frame.right + 1 ||
            box.top < frame.top - 1 ||
            box.bottom > frame.bottom + 1
          )
            found.push(`${name}: ${text} is cut off`);
        for (const [i, a] of boxes.entries())
          for (const b of boxes.slice(i + 1)) {
            const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
            const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
            if (across > 2 && down > 3) found.push(`${name}: ${a.text} lies over ${b.text}`);
          }
      }
      return found;
    });

  for (const name of ["run", "overopt", "frontier", "sweep", "suite"])
    it(`${name}: every label of a plot is whole and alone, at 1280 and 390 pixels and on paper`, async () => {
      const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
      await page.goto(pathToFileURL(pages[name] as string).href);
      expect(await page.locator("svg.plot").count()).toBeGreaterThan(0);
      expect(await faults(page)).toEqual([]);
      await page.setViewportSize({ width: 390, height: 800 });
      expect(await faults(page)).toEqual([]);
      await page.setViewportSize({ width: 700, height: 1000 });
      await page.emulateMedia({ media: "print" });
      expect(await faults(page)).toEqual([]);
      await page.close();
    });
});
