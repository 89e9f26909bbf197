/** The same AdamW steps in Chromium as in Node. */
import * as ort from "onnxruntime-node";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LocalEngine } from "../../src/graph/index.ts";
import { chromiumPath, launch, whyNoChromium } from "./chromium.fixture.ts";
import { type BrowserModel, browserModels, modelFiles } from "./model-files.fixture.ts";
import type { PageReply, PageRequest } from "./page.fixture.ts";
import { servePage } from "./serve.fixture.ts";
import { lossesOfSteps } from "./train-step.fixture.ts";

const title = "a train step in Chromium";

describe.skipIf(!chromiumPath)(chromiumPath ? title : `${title} (skipped: ${whyNoChromium})`, () => {
  const count = 20;
  let browser: Browser;
  const expected = {} as Record<BrowserModel, number[]>;
  let gpuBrowser: Browser | undefined;

  beforeAll(async () => {
    browser = await launch();
    const engine = new LocalEngine(ort);
    for (const name of browserModels) expected[name] = await lossesOfSteps(engine, modelFiles(name), count);
    await engine.dispose();
  });
  afterAll(async () => {
    await browser?.close();
    await gpuBrowser?.close();
  });

  /** Runs the page's own `train`, and fails with what the page said where it throws. */
  async function trainInPage(
    request: PageRequest,
    isolated: boolean,
    { entry = "train", opened = browser } = {},
  ): Promise<PageReply> {
    const served = await servePage("./page.fixture.ts", { isolated });
    const page = await opened.newPage();
    const said: string[] = [];
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    try {
      await page.goto(served.url);
      await page.waitForFunction("typeof train === 'function'", undefined, { timeout: 20_000 });
      return await page.evaluate<PageReply>(`${entry}(${JSON.stringify(request)})`);
    } catch (cause) {
      throw new Error(`the page failed: ${(cause as Error).message}\n${said.join("\n")}`, { cause });
    } finally {
      await page.close();
      await served.close();
    }
  }

  const cases: readonly [string, Omit<PageRequest, "model">, boolean][] = [
    ["with two threads in an isolated page", { provider: "wasm", threads: 2, steps: count }, true],
    ["with one thread in any page", { provider: "wasm", threads: 1, steps: count }, false],
    ["in a worker with two threads", { provider: "wasm", threads: 2, steps: count }, true],
  ];
  const each = cases.flatMap((kase) => browserModels.map((model) => [model, ...kase] as const));
  it.each(each)(
    "%s has the losses of Node to 1e-4, %s, step by step and in a scan",
    async (model, how, request, isolated) => {
      const entry = how.includes("worker") ? "trainInWorker" : "train";
      const reply = await trainInPage({ model, ...request }, isolated, { entry });
      expect(reply.isolated).toBe(isolated);
      expect(reply.steps).toHaveLength(count);
      for (const [k, loss] of expected[model].entries()) {
        expect(Math.abs((reply.steps[k] as number) - loss)).toBeLessThan(1e-4);
        expect(Math.abs((reply.scan[k] as number) - loss)).toBeLessThan(1e-4);
      }
    },
  );

  it.for(browserModels)(
    "%s has the losses of Node to 1e-3 on WebGPU, step by step and in a scan",
    async (model, { skip }) => {
      const count = 5;
      gpuBrowser ??= await launch({ gpu: true });
      const request: PageRequest = { model, provider: "webgpu", threads: 1, steps: count };
      const reply = await trainInPage(request, true, { opened: gpuBrowser }).catch((error: Error) => {
        if (/webgpu provider (needs|finds)/.test(error.message))
          return skip("this Chromium has no SwiftShader");
        throw error;
      });
      for (let k = 0; k < count; k++) {
        expect(Math.abs((reply.steps[k] as number) - (expected[model][k] as number))).toBeLessThan(1e-3);
        expect(Math.abs((reply.scan[k] as number) - (expected[model][k] as number))).toBeLessThan(1e-3);
      }
    },
  );

  it("says in one line what threads and WebGPU need where a page does not have it", async () => {
    await expect(
      trainInPage({ model: "gpt2", provider: "wasm", threads: 2, steps: 1 }, false),
    ).rejects.toThrow(/Cross-Origin-Opener-Policy/);
    await expect(
      trainInPage({ model: "gpt2", provider: "webgpu", threads: 1, steps: 1 }, true),
    ).rejects.toThrow(/webgpu provider (needs|finds)/);
  });
});
