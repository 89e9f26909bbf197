/** What the page runs: the training of train-step.fixture.ts in the browser's own engine. */
import { createEngine } from "../../src/graph/browser.ts";
import type { BrowserModel } from "./model-files.fixture.ts";
import { lossesOfScan, lossesOfSteps } from "./train-step.fixture.ts";

export interface PageRequest {
  readonly model: BrowserModel;
  readonly provider: "wasm" | "webgpu";
  readonly threads: number;
  readonly steps: number;
}

export interface PageReply {
  readonly isolated: boolean;
  readonly steps: number[];
  readonly scan: number[];
}

async function train({ model, steps: count, ...options }: PageRequest): Promise<PageReply> {
  const engine = await createEngine({ ...options, wasmPaths: new URL("/ort/", location.href).href });
  const config: unknown = await (await fetch(`/models/${model}/config.json`)).json();
  const files = {
    config,
    weights: new Uint8Array(await (await fetch(`/models/${model}/model.safetensors`)).arrayBuffer()),
  };
  const steps = await lossesOfSteps(engine, files, count);
  const scan = await lossesOfScan(engine, files, count);
  await engine.dispose();
  return { isolated: crossOriginIsolated, steps, scan };
}

/** The same in a worker of the page. */
const trainInWorker = (request: PageRequest): Promise<PageReply> =>
  new Promise((resolve, reject) => {
    const worker = new Worker("/script.js", { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<PageReply & { error?: string }>) => {
      worker.terminate();
      if (data.error) reject(new Error(data.error));
      else resolve(data);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(request);
  });

if (typeof document === "undefined")
  globalThis.onmessage = ({ data }: MessageEvent<PageRequest>) =>
    train(data).then(postMessage, (error: Error) => postMessage({ error: error.message }));
else Object.assign(globalThis, { train, trainInWorker });
