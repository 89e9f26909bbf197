/** Opens ONNX Runtime in this thread of Node, and says in one line how to get what is missing. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { compile, type Provider } from "../compile.ts";
import { RuntimeError } from "../errors.ts";
import { add } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";
import { type EngineOptions, LocalEngine } from "./engine.ts";

const platform = `${process.platform}/${process.arch}`;

/** Where the CUDA libraries lie once the package's own install step has fetched them. */
function cudaLibrary(): string {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(entry), "..", "bin", "napi-v6", platform, "libonnxruntime_providers_cuda.so");
}

/** Why a provider cannot run here, or undefined; looks at files only. */
function missing(provider: Provider): string | undefined {
  if (provider === "wasm") return "The wasm provider runs in browsers; in Node use cpu, which is faster.";
  if (provider !== "cuda") return undefined;
  if (platform !== "linux/x64")
    return `The cuda provider exists for linux/x64 only, this is ${platform}: use webgpu or cpu.`;
  return existsSync(cudaLibrary())
    ? undefined
    : "The cuda provider is not installed: run `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false` (CUDA 12 and cuDNN 9 have to be on the machine), or use webgpu or cpu.";
}

const drivers: Readonly<Partial<Record<Provider, string>>> = {
  webgpu:
    "needs a graphics card with a driver for Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows); install the driver (`vulkaninfo --summary` lists what Linux sees), or use cpu",
  cuda: "needs an NVIDIA driver, CUDA 12 and cuDNN 9 on the library path; install them, or use webgpu or cpu",
};

/**
 * Frees arrays at once. Their memory then serves the next run, where fresh memory would have to be mapped page by page, and
 * the garbage collector, whose threads compete with those of the sessions, has nothing to do.
 */
function discarder(): (buffer: ArrayBuffer) => void {
  const { port1, port2 } = new MessageChannel();
  port1.unref();
  port2.close();
  return (buffer) => {
    try {
      port1.postMessage(undefined, [buffer]); // moves it to nobody
    } catch {
      // shared or not to be moved: the garbage collector has it
    }
  };
}

/**
 * An engine in the calling thread.
 *
 * @throws RuntimeError when the provider is missing or its driver does not answer
 */
export async function openLocalEngine(options: EngineOptions = {}): Promise<LocalEngine> {
  const { provider = "cpu" } = options;
  const reason = missing(provider);
  if (reason) throw new RuntimeError(reason);
  const ort = await import("onnxruntime-node").catch((cause: Error) => {
    throw new RuntimeError(
      `onnxruntime-node does not load on ${platform} (${cause.message}): run npm ci again, on a platform that it supports`,
      { cause },
    );
  });
  const engine = new LocalEngine(ort, { discard: discarder(), ...options });
  if (provider !== "cpu") await probe(engine, provider);
  return engine;
}

/** Runs one addition, because a driver is found missing only when something runs. */
async function probe(engine: LocalEngine, provider: Provider): Promise<void> {
  try {
    const x = { dtype: "float32", shape: [1] } as const;
    const program = compile((a) => ({ y: add(a.x as Tensor, 1) }), [{ x }], { provider });
    const executable = await engine.load(program);
    await engine.run(executable, [{ x: { ...x, data: new Float32Array(1) } }]);
    await engine.unload(executable);
  } catch (cause) {
    // The runtime's own text is long; what it found is its last part, and the rest stays in the cause.
    const found = (cause as Error).message.trim().split(/\n|: /).at(-1);
    throw new RuntimeError(`The ${provider} provider ${drivers[provider]}. (${found})`, { cause });
  }
}
