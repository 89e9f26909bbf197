/** The thread that owns an engine's sessions: answers the messages of `node-engine.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import type { HostArray } from "../array.ts";
import type { Program } from "../compile.ts";
import { flatten, type Tree } from "../tree.ts";
import type { EngineOptions, Executable, LocalEngine, Resident, Value } from "./engine.ts";
import { type PackedError, packError } from "./node-errors.ts";
import { openLocalEngine } from "./node-providers.ts";

/** What each method takes; the engine's interface with executables cut down to their numbers. */
export interface Requests {
  open: [];
  load: [program: Program];
  run: [executable: number, args: readonly Tree<Value>[]];
  put: [tree: Tree<HostArray>];
  get: [tree: Tree<Resident>];
  free: [tree: Tree<Resident>];
  unload: [executable: number];
  call: [moduleUrl: string, exportName: string, payload: unknown];
  dispose: [];
}

export type Request =
  | {
      [M in keyof Requests]: { readonly id: number; readonly method: M; readonly args: Requests[M] };
    }[keyof Requests]
  | { readonly id: number; readonly abort: string };

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly error: PackedError };

const port = parentPort as NonNullable<typeof parentPort>;
const opened: Promise<LocalEngine> = openLocalEngine(workerData as EngineOptions);
opened.catch(() => {}); // `open` reports it
const running = new Map<number, AbortController>();

const executable = (id: number) => ({ executable: id }) as Executable;

/** Fresh results move to the other thread instead of being copied. */
const buffersOf = (tree: Tree<Value>): ArrayBuffer[] => [
  ...new Set(
    Object.values(flatten(tree)).flatMap((x) => ("data" in x ? [x.data.buffer as ArrayBuffer] : [])),
  ),
];

async function answer(
  request: Exclude<Request, { abort: string }>,
): Promise<[result: unknown, moved?: ArrayBuffer[]]> {
  const engine = await opened;
  const { id } = request;
  switch (request.method) {
    case "open":
      return [engine.threads];
    case "load":
      return [(await engine.load(request.args[0])).executable];
    case "run": {
      const results = await engine.run(executable(request.args[0]), request.args[1]);
      return [results, buffersOf(results)];
    }
    case "put":
      return [await engine.put(request.args[0], { transfer: true })];
    case "get": {
      const arrays = await engine.get(request.args[0]);
      return [arrays, buffersOf(arrays)];
    }
    case "free":
      return [await engine.free(request.args[0])];
    case "unload":
      return [await engine.unload(executable(request.args[0]))];
    case "call": {
      const [moduleUrl, exportName, payload] = request.args;
      const emit = (event: unknown) => port.postMessage({ id, event } satisfies Reply);
      return [await engine.call(moduleUrl, exportName, payload, emit, running.get(id)?.signal)];
    }
    case "dispose":
      return [await engine.dispose()];
  }
}

port.on("message", async (request: Request) => {
  const { id } = request;
  if ("abort" in request) {
    running.get(id)?.abort(new DOMException(request.abort, "AbortError"));
    return;
  }
  // Before anything is awaited, so that no abort message comes too early.
  if (request.method === "call") running.set(id, new AbortController());
  try {
    const [result, moved = []] = await answer(request);
    port.postMessage({ id, result } satisfies Reply, moved);
    if (request.method === "dispose") port.close();
  } catch (error) {
    port.postMessage({ id, error: packError(error) } satisfies Reply);
  } finally {
    running.delete(id);
  }
});
