/**
 * The engine in Node: a worker thread that owns the sessions, behind the interface of every engine, because
 * a session's `run` blocks the thread it is called in.
 *
 * Arrays go over as copies and come back as moves. The thread keeps the process alive only while something
 * is under way.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { HostArray, Storage } from "../array.ts";
import type { Program, Provider } from "../compile.ts";
import { RuntimeError } from "../errors.ts";
import { mapTree, type Tree } from "../tree.ts";
import type { Engine, EngineOptions, Executable, Resident, Value } from "./engine.ts";
import { unpackError } from "./node-errors.ts";
import { openLocalEngine } from "./node-providers.ts";
import type { Reply, Request, Requests } from "./node-worker.ts";

export interface NodeEngineOptions extends Omit<EngineOptions, "discard"> {
  /**
   * Whether the sessions live in a thread of their own. "auto": they do when this runs as compiled
   * JavaScript; from TypeScript sources or in a bundle they live in the calling thread.
   */
  worker?: boolean | "auto";
}

const besideThis = (file: string) => new URL(file, import.meta.url);
const compiledWorker = besideThis("./node-worker.js");
const sourceWorker = besideThis("./node-worker.ts");

/**
 * Opens an engine.
 *
 * @throws RuntimeError with one line that says how to get a provider that is missing
 */
export async function createEngine({ worker = "auto", ...options }: NodeEngineOptions = {}): Promise<Engine> {
  const compiled = existsSync(fileURLToPath(compiledWorker));
  if (worker === false || (worker === "auto" && !compiled)) return openLocalEngine(options);
  const engine = new WorkerEngine(compiled ? compiledWorker : sourceWorker, options);
  await engine.open();
  return engine;
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: ((event: unknown) => void) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

/** The bytes alone when they are part of a larger buffer or of a shared one, which must not travel. */
function alone<T extends Storage>(data: T): T {
  const { buffer, byteLength } = data;
  return byteLength === buffer.byteLength && buffer instanceof ArrayBuffer ? data : (data.slice() as T);
}

/** Copies what would drag a larger buffer along; those copies, or all buffers, are moved. */
function outgoing<L extends Value>(tree: Tree<L>, moved: Set<ArrayBuffer>, transfer = false): Tree<L> {
  return mapTree(tree, (value) => {
    if (!("data" in value)) return value;
    const data = alone(value.data);
    if (transfer || data !== value.data) moved.add(data.buffer as ArrayBuffer);
    return { ...value, data };
  });
}

class WorkerEngine implements Engine {
  readonly provider: Provider;
  readonly threads: number;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 1;
  #ended: RuntimeError | undefined;

  constructor(file: URL, options: EngineOptions) {
    this.provider = options.provider ?? "cpu";
    this.threads = options.threads ?? 0;
    // `node --input-type=module -e` hands its flag down, and a worker that is a file refuses it. Only then are flags
    // named, for those of V8 a worker refuses too when they are.
    const kept = process.execArgv.filter((flag) => !flag.startsWith("--input-type"));
    const flags = kept.length < process.execArgv.length ? { execArgv: kept } : {};
    this.#worker = new Worker(file, { workerData: options, name: "attune engine", ...flags });
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply) => this.#receive(reply));
    this.#worker.on("error", (cause: Error) =>
      this.#end(`The engine's thread failed: ${cause.message}`, cause),
    );
    this.#worker.on("exit", (code) => this.#end(`The engine's thread has ended (exit code ${code})`));
  }

  #end(message: string, cause?: Error): void {
    this.#ended ??= new RuntimeError(message, { cause });
    for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(this.#ended);
  }

  #receive(reply: Reply): void {
    if ("event" in reply) {
      this.#pending.get(reply.id)?.onEvent?.(reply.event);
      return;
    }
    const pending = this.#settle(reply.id);
    if (!pending) return;
    if ("result" in reply) pending.resolve(reply.result);
    else {
      const error = unpackError(reply.error);
      pending.reject(error.name === "AbortError" && pending.signal?.aborted ? pending.signal.reason : error);
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    pending.signal?.removeEventListener("abort", pending.onAbort);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.unref();
    return pending;
  }

  #ask<M extends keyof Requests>(
    method: M,
    args: Requests[M],
    moved: Iterable<ArrayBuffer> = [],
    onEvent?: (event: unknown) => void,
    signal?: AbortSignal,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      if (signal?.aborted) return reject(signal.reason);
      const id = this.#next++;
      const onAbort = () => {
        const abort = (signal?.reason as Error | undefined)?.message ?? "aborted";
        this.#worker.postMessage({ id, abort } satisfies Request);
      };
      // Throws when an argument cannot be cloned, before anything is pending.
      this.#worker.postMessage({ id, method, args } as Request, [...moved]);
      if (this.#pending.size === 0) this.#worker.ref();
      this.#pending.set(id, { resolve, reject, onEvent, signal, onAbort });
      signal?.addEventListener("abort", onAbort);
    });
  }

  /** Waits until the thread's engine is there. */
  async open(): Promise<void> {
    try {
      await this.#ask("open", []);
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  async load(program: Program): Promise<Executable> {
    const { inputs, outputs, donated, hostLoop, model } = program;
    const external = model.external.map(({ path, data }) => ({ path, data: alone(data) }));
    const moved = external.flatMap(({ data }, i) =>
      data === model.external[i]?.data ? [] : [data.buffer as ArrayBuffer],
    );
    const sent = { ...program, model: { ...model, bytes: alone(model.bytes), external } };
    const executable = (await this.#ask("load", [sent], moved)) as number;
    return { executable, program: { inputs, outputs, donated, ...(hostLoop && { hostLoop }) } };
  }

  run({ executable }: Executable, args: readonly Tree<Value>[]): Promise<Tree<Value>> {
    const moved = new Set<ArrayBuffer>();
    const values = args.map((tree) => outgoing(tree, moved));
    return this.#ask("run", [executable, values], moved) as Promise<Tree<Value>>;
  }

  put(tree: Tree<HostArray>, { transfer = false } = {}): Promise<Tree<Resident>> {
    const moved = new Set<ArrayBuffer>();
    return this.#ask("put", [outgoing(tree, moved, transfer)], moved) as Promise<Tree<Resident>>;
  }

  get(tree: Tree<Resident>): Promise<Tree<HostArray>> {
    return this.#ask("get", [tree]) as Promise<Tree<HostArray>>;
  }

  async free(tree: Tree<Resident>): Promise<void> {
    await this.#ask("free", [tree]);
  }

  async unload({ executable }: Executable): Promise<void> {
    await this.#ask("unload", [executable]);
  }

  call<Result>(
    moduleUrl: string,
    exportName: string,
    payload: unknown,
    onEvent?: (event: unknown) => void,
    signal?: AbortSignal,
  ): Promise<Result> {
    return this.#ask("call", [moduleUrl, exportName, payload], [], onEvent, signal) as Promise<Result>;
  }

  async dispose(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    await this.#ask("dispose", []);
    this.#ended ??= new RuntimeError("The engine was disposed; create another one");
    this.#worker.ref();
    await exited;
  }
}
