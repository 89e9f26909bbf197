/** The report in Chromium, with hostile text in every place: nothing is asked for, nothing runs but its own script. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeReport } from "../../src/runs/report/report.ts";
import { writeFixtureRun } from "../../src/runs/report/run.fixture.ts";
import { chromiumPath, launch, whyNoChromium } from "./chromium.fixture.ts";

const title = "the report in Chromium";
const hostile = `</script><script>document.title = "taken"</script><img src="https://example.com/x.png" onerror="document.title = 'taken'">`;

describe.skipIf(!chromiumPath)(chromiumPath ? title : `${title} (skipped: ${whyNoChromium})`, () => {
  let dir: string;
  let url: string;
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
    dir = await mkdtemp(join(tmpdir(), "attune-report-"));
    await writeFixtureRun(dir, { inserted: hostile, prompts: 20 });
    url = pathToFileURL((await writeReport(dir)).path).href;
  });
  afterAll(async () => {
    await browser?.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** Opens the page, and holds what it asked for and complained of. */
  async function open(options: Parameters<Browser["newPage"]>[0] = {}) {
    const page = await browser.newPage(options);
    const requests: string[] = [];
    const complaints: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(url);
    return { page, requests, complaints };
  }
  const shown = (page: Page) =>
    page.locator("article").evaluateAll((all) => all.filter((one) => one.checkVisibility()).length);

  it("asks for nothing but itself, and runs nothing but its own script", async () => {
    const { page, requests, complaints } = await open();
    expect([requests, complaints]).toEqual([[url], []]);
    expect(await page.title()).toMatch(/^world.*report of a run$/);
    await page.close();
  });

  it("filters prompts by kind and sorts them by what was gained; without a script it shows them all", async () => {
    const { page } = await open();
    expect(await shown(page)).toBe(20);
    await page.selectOption("select[name=kind]", "arithmetic");
    expect(await shown(page)).toBe(4);
    expect(await page.textContent("output")).toBe("4 prompts");
    await page.selectOption("select[name=order]", "1");
    const gains = await page
      .locator("article:visible")
      .evaluateAll((all) => all.map((one) => Number((one as HTMLElement).dataset.gain)));
    expect(gains).toEqual([...gains].sort((a, b) => b - a));
    await page.close();
    const plain = await open({ javaScriptEnabled: false });
    expect(await plain.page.locator("article:visible").count()).toBe(20);
    expect(await plain.page.locator(".controls:visible").count()).toBe(0);
    await plain.page.close();
  });

  it("is light, dark as the reader asks, and light on paper with the first prompts only", async () => {
    const { page } = await open({ colorScheme: "dark" });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await background();
    await page.emulateMedia({ colorScheme: "light" });
    expect([dark, await background()]).toEqual(["rgb(22, 24, 28)", "rgb(251, 250, 247)"]);
    await page.emulateMedia({ colorScheme: "dark", media: "print" });
    expect([await background(), await shown(page)]).toEqual(["rgb(255, 255, 255)", 12]);
    await page.close();
  });

  it("is never wider than a phone", async () => {
    const { page } = await open({ viewport: { width: 360, height: 740 } });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await page.close();
  });
});
