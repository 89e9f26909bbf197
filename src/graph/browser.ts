/**
 * Engines for browsers, over onnxruntime-web.
 *
 * A call of a wasm program blocks its thread: open the engine in a worker, so that the page stays alive.
 * Threads need a page that is isolated from others: its server has to send the headers
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`.
 *
 * @example
 * import { createEngine } from "attune/graph/browser";
 * const engine = await createEngine({ provider: "wasm", wasmPaths: "/ort/" });
 */
import type * as Ort from "onnxruntime-common";
import { type EngineOptions, LocalEngine } from "./engine/engine.ts";
import { RuntimeError } from "./errors.ts";

export interface BrowserEngineOptions extends Pick<EngineOptions, "threads" | "cacheBytes"> {
  provider?: "wasm" | "webgpu";
  /**
   * Where the page finds the `.wasm` files (and their `.mjs`) of onnxruntime-web: a prefix, or an address for
   * each; beside the script by default.
   */
  wasmPaths?: string | { mjs?: string; wasm?: string };
}

/** The settings of onnxruntime-web, which are the same for all engines of a page. */
interface WasmSettings {
  numThreads?: number;
  wasmPaths?: string | { mjs?: string; wasm?: string };
}

/**
 * Opens an engine.
 *
 * @throws RuntimeError with one line that says how to get what is missing
 */
export async function createEngine(options: BrowserEngineOptions = {}): Promise<LocalEngine> {
  const { provider = "wasm", wasmPaths, cacheBytes } = options;
  const threads = threadsFor(options.threads);
  if (provider === "webgpu") await requireGpu();
  const ort: typeof Ort =
    provider === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const settings = ort.env.wasm as WasmSettings;
  settings.numThreads = threads;
  if (wasmPaths !== undefined) settings.wasmPaths = wasmPaths;
  return new LocalEngine(ort, { provider, threads, ...(cacheBytes !== undefined && { cacheBytes }) });
}

/** As many threads as the page may have: 1 where it is not isolated. */
function threadsFor(wanted: number | undefined): number {
  const isolated = globalThis.crossOriginIsolated === true;
  if (wanted !== undefined && wanted > 1 && !isolated)
    throw new RuntimeError(
      "createEngine: threads need the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp; send them with the page, or ask for 1 thread",
    );
  return wanted ?? (isolated ? Math.max(1, Math.min(8, Math.ceil(navigator.hardwareConcurrency / 2))) : 1);
}

async function requireGpu(): Promise<void> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (gpu && (await gpu.requestAdapter())) return;
  throw new RuntimeError(
    gpu
      ? "The webgpu provider finds no graphics card that this browser lets pages use; use wasm, or allow hardware acceleration in the browser's settings"
      : "The webgpu provider needs a browser with WebGPU (Chrome 113, Safari 26, Firefox 141 or later) and a page over https; use wasm",
  );
}
