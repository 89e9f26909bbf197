/**
 * Runs programs: what holds sessions and the arrays that stay with them.
 *
 * `LocalEngine` works with either package of ONNX Runtime in the thread it lives in; a session's `run`
 * blocks that thread. `node-engine.ts` puts one into a worker thread behind the same interface.
 */
import type * as Ort from "onnxruntime-common";
import {
  bytesPerElement,
  type DType,
  type HostArray,
  type Resident,
  type Storage,
  sizeOf,
  type Value,
} from "../array.ts";
import { checkShape, type Program, type Provider } from "../compile.ts";
import { AttuneError, RuntimeError } from "../errors.ts";
import { flatten, mapTree, type Tree, unflatten } from "../tree.ts";
import { type Bindings, bind } from "./bindings.ts";
import { type Device, deviceOf, wrap } from "./device.ts";
import { runHostLoop } from "./host-loop.ts";

export type { Resident, Value } from "../array.ts";

/** A program in an engine. */
export interface Executable {
  readonly executable: number;
  readonly program: Pick<Program, "inputs" | "outputs" | "donated" | "hostLoop">;
}

export interface Engine {
  readonly provider: Provider;
  readonly threads: number;
  /** Compiles a program's session; the same program is compiled once. */
  load(program: Program): Promise<Executable>;
  /** Calls a program; donated results come back as residents, all others as host arrays. */
  run(executable: Executable, args: readonly Tree<Value>[]): Promise<Tree<Value>>;
  /** Copies arrays to the engine; with `transfer` it takes their buffers instead, and the caller's are lost. */
  put(tree: Tree<HostArray>, options?: { transfer?: boolean }): Promise<Tree<Resident>>;
  get(tree: Tree<Resident>): Promise<Tree<HostArray>>;
  free(tree: Tree<Resident>): Promise<void>;
  unload(executable: Executable): Promise<void>;
  /**
   * Runs a function that a module exports beside the sessions, for loops that should not cross threads.
   *
   * @param moduleUrl of the module, usually the caller's own `import.meta.url`
   * @param payload any value that can be cloned, residents and executables included
   * @param onEvent gets what the function emits
   */
  call<Result>(
    moduleUrl: string,
    exportName: string,
    payload: unknown,
    onEvent?: (event: unknown) => void,
    signal?: AbortSignal,
  ): Promise<Result>;
  dispose(): Promise<void>;
}

/** What `Engine.call` runs; `engine` is the one that owns the sessions, in the thread where the function runs. */
export type EngineTask<Payload, Result> = (
  engine: LocalEngine,
  payload: Payload,
  emit: (event: unknown) => void,
  signal: AbortSignal,
) => Promise<Result>;

export interface EngineOptions {
  provider?: Provider;
  /** Threads of one operation. */
  threads?: number;
  /** Sessions are dropped, the longest unused first, when their weights and models exceed this. */
  cacheBytes?: number;
  /** Writes ONNX Runtime's own profile beside this prefix. */
  profile?: string;
  /** Frees the memory of an array that nobody needs any more, at once instead of at some collection of garbage. */
  discard?: (buffer: ArrayBuffer) => void;
}

const cpuSession = {
  // What a mask leaves of a probability is such a number, and some processors take a hundred times as long for it.
  set_denormal_as_zero: "1",
  // Every session has threads of its own. Left to themselves they spin for long after a run, on the cores that the next
  // session needs: of PPO and GRPO, which go from session to session, that took a third of the time.
  intra_op: { spin_duration_us: "100" },
};

/** What is left of a program once its session exists; the model's bytes are not kept. */
type Signature = Executable["program"];

interface LoadedSession {
  readonly session: Ort.InferenceSession;
  readonly program: Signature;
  readonly bytes: number;
}

export class LocalEngine implements Engine {
  readonly provider: Provider;
  readonly threads: number;
  readonly #ort: typeof Ort;
  readonly #options: EngineOptions;
  readonly #sessions = new Map<number, LoadedSession>();
  readonly #programs = new Map<string, Executable>();
  readonly #residents = new Map<number, Ort.Tensor>();
  readonly #device: Device;
  #next = 1;
  /** Of results that stayed here, which nobody else has. */
  readonly #ownBuffers = new WeakSet<ArrayBufferLike>();

  constructor(ort: typeof Ort, options: EngineOptions = {}) {
    this.#ort = ort;
    this.#options = options;
    this.provider = options.provider ?? "cpu";
    this.threads = options.threads ?? 0;
    this.#device = deviceOf(ort, this.provider, (model, more) => this.#open(model, more));
  }

  async load(program: Program): Promise<Executable> {
    if (program.provider !== this.provider)
      throw new AttuneError(
        `load: the program was compiled for ${program.provider}, the engine runs ${this.provider}`,
      );
    const signature = program.model.external.length === 0 ? signatureOf(program) : undefined;
    const known = signature === undefined ? undefined : this.#programs.get(signature);
    if (known && this.#sessions.has(known.executable)) return known;
    const { bytes, external } = program.model;
    const size = bytes.byteLength + external.reduce((n, { data }) => n + data.byteLength, 0);
    await this.#makeRoom(size);
    const session = await this.#create(program);
    const { inputs, outputs, donated, hostLoop } = program;
    const kept = { inputs, outputs, donated, ...(hostLoop && { hostLoop }) };
    const executable = { executable: this.#next++, program: kept };
    this.#sessions.set(executable.executable, { session, program: executable.program, bytes: size });
    if (signature !== undefined) this.#programs.set(signature, executable);
    return executable;
  }

  #create({ model, donated }: Program): Promise<Ort.InferenceSession> {
    return this.#open(model.bytes, {
      externalData: model.external.map(({ path, data }) => ({ path, data })),
      // A session that keeps nothing would keep its memory; those that train are slower without an arena of their own.
      ...(Object.keys(donated).length === 0 && { enableCpuMemArena: false }),
      ...this.#device.keeping(Object.keys(donated)),
    });
  }

  async #open(
    model: Uint8Array,
    options: Ort.InferenceSession.SessionOptions,
  ): Promise<Ort.InferenceSession> {
    const { profile } = this.#options;
    try {
      return await this.#ort.InferenceSession.create(model, {
        executionProviders: [this.provider],
        ...(this.threads > 0 ? { intraOpNumThreads: this.threads } : {}),
        interOpNumThreads: 1,
        enableMemPattern: false,
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
        ...(this.provider === "cpu" ? { extra: { session: cpuSession } } : {}),
        ...(profile ? { enableProfiling: true, profileFilePrefix: profile } : {}),
        ...options,
      });
    } catch (cause) {
      throw new RuntimeError(`The ${this.provider} provider refused the graph: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** Releases the sessions that were not used for the longest time until `bytes` more fit the budget. */
  async #makeRoom(bytes: number): Promise<void> {
    const budget = this.#options.cacheBytes ?? Number.POSITIVE_INFINITY;
    let used = bytes + [...this.#sessions.values()].reduce((n, s) => n + s.bytes, 0);
    for (const [id, loaded] of [...this.#sessions]) {
      if (used <= budget) return;
      this.#sessions.delete(id);
      await loaded.session.release();
      used -= loaded.bytes;
    }
  }

  async run(program: Executable, args: readonly Tree<Value>[]): Promise<Tree<Value>> {
    const loop = this.#sessions.get(program.executable)?.program.hostLoop;
    const step = (values: readonly Tree<Value>[]) => this.#run(program.executable, values);
    return loop ? runHostLoop(this, step, loop.length, args) : step(args);
  }

  async #run(executable: number, args: readonly Tree<Value>[]): Promise<Tree<Value>> {
    const loaded = this.#sessions.get(executable);
    if (!loaded) throw new AttuneError("run: the program is no longer loaded; load it again");
    // Insertion order is the order of last use.
    this.#sessions.delete(executable);
    this.#sessions.set(executable, loaded);
    const { program, session } = loaded;
    const values = args.map((tree) => flatten(tree));
    const feeds: Record<string, Ort.Tensor> = {};
    const residentOf: Record<string, Resident> = {};
    const bindings: Bindings = new Map();
    for (const { name, argument, path, spec } of program.inputs) {
      const value = values[argument]?.[path];
      if (!value) throw new AttuneError(`run: argument ${argument} has no ${path}`);
      checkShape(name, spec, value);
      bind(bindings, name, spec.shape, value.shape);
      if ("resident" in value) residentOf[name] = value;
      feeds[name] = this.#tensor(value);
    }
    const fetches: Record<string, Ort.Tensor | null> = {};
    for (const name of program.outputs) {
      const pair = program.donated[name];
      const inPlace = pair?.inPlace && this.#device.inPlace && residentOf[pair.input];
      fetches[name] = inPlace ? (feeds[pair.input] as Ort.Tensor) : null;
    }
    const results = await session.run(feeds, fetches).catch((cause: Error) => {
      throw new RuntimeError(`run: the ${this.provider} provider failed: ${cause.message}`, { cause });
    });
    const out: Record<string, Value> = {};
    for (const name of program.outputs) {
      const pair = program.donated[name];
      const resident = pair && residentOf[pair.input];
      const tensor = results[name] as Ort.Tensor;
      if (!resident) {
        out[name] = await this.#device.get(tensor);
        if (pair) this.#device.release(tensor);
        continue;
      }
      out[name] = resident;
      const before = feeds[pair.input] as Ort.Tensor;
      // The runtime copies every output to the host: of what stays here, the copy or what it replaces is garbage.
      if (fetches[name]) {
        if (tensor.location === "cpu" && tensor.data !== before.data) this.#discard(tensor);
        continue;
      }
      if (before.location === "cpu" && this.#ownBuffers.has(bufferOf(before))) this.#discard(before);
      this.#device.release(before);
      if (tensor.location === "cpu") this.#ownBuffers.add(bufferOf(tensor));
      this.#residents.set(resident.resident, tensor);
    }
    return unflatten(out);
  }

  #discard(tensor: Ort.Tensor): void {
    this.#options.discard?.(bufferOf(tensor) as ArrayBuffer);
  }

  /** Frees arrays of this thread with their whole buffers, such as results that were read; they are empty afterwards. */
  discard(arrays: Iterable<Storage>): void {
    for (const { buffer } of arrays)
      if (buffer.byteLength > 0) this.#options.discard?.(buffer as ArrayBuffer);
  }

  #tensor(value: Value): Ort.Tensor {
    if (!("resident" in value)) return wrap(this.#ort, value);
    const tensor = this.#residents.get(value.resident);
    if (!tensor) throw new AttuneError("run: an array was freed before it was used");
    return tensor;
  }

  async put(tree: Tree<HostArray>, { transfer = false } = {}): Promise<Tree<Resident>> {
    const residents: Record<string, Resident> = {};
    for (const [path, value] of Object.entries(flatten(tree))) {
      const { dtype, shape, data } = value;
      if (data.length !== sizeOf(shape))
        throw new AttuneError(`put: [${shape}] does not hold ${data.length} values`);
      const own = transfer ? value : ({ ...value, data: data.slice() } as HostArray);
      const resident = { resident: this.#next++, dtype, shape };
      this.#residents.set(resident.resident, await this.#device.put(own));
      residents[path] = resident;
    }
    return mapTree(tree, (_, path) => residents[path] as Resident);
  }

  async get(tree: Tree<Resident>): Promise<Tree<HostArray>> {
    const arrays: Record<string, HostArray> = {};
    for (const [path, { resident }] of Object.entries(flatten(tree))) {
      const tensor = this.#residents.get(resident);
      if (!tensor) throw new AttuneError("get: the array was freed");
      const value = await this.#device.get(tensor);
      arrays[path] = { ...value, data: value.data.slice() } as HostArray;
    }
    return mapTree(tree, (_, path) => arrays[path] as HostArray);
  }

  async free(tree: Tree<Resident>): Promise<void> {
    for (const { resident } of Object.values(flatten(tree))) {
      const tensor = this.#residents.get(resident);
      if (tensor) this.#device.release(tensor);
      this.#residents.delete(resident);
    }
  }

  async unload({ executable }: Executable): Promise<void> {
    const loaded = this.#sessions.get(executable);
    this.#sessions.delete(executable);
    await loaded?.session.release();
  }

  async call<Result>(
    moduleUrl: string,
    exportName: string,
    payload: unknown,
    onEvent: (event: unknown) => void = () => {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Result> {
    signal.throwIfAborted();
    const exported = (await import(/* @vite-ignore */ moduleUrl)) as Record<string, unknown>;
    const task = exported[exportName];
    if (typeof task !== "function")
      throw new AttuneError(`call: ${moduleUrl} exports no function ${exportName}`);
    return (task as EngineTask<unknown, Result>)(this, payload, onEvent, signal);
  }

  /** Bytes of the arrays that stay here. */
  get residentBytes(): number {
    let bytes = 0;
    for (const { dims, type } of this.#residents.values())
      bytes += sizeOf(dims) * bytesPerElement(type as DType);
    return bytes;
  }

  async dispose(): Promise<void> {
    for (const { session } of this.#sessions.values()) {
      if (this.#options.profile) session.endProfiling();
      await session.release();
    }
    this.#sessions.clear();
    for (const tensor of this.#residents.values()) this.#device.release(tensor);
    this.#residents.clear();
    await this.#device.dispose();
  }
}

const bufferOf = (tensor: Ort.Tensor): ArrayBufferLike => (tensor.data as Storage).buffer;

/** What makes two compiled programs the same: FNV-1a over the model's bytes, their number, and what is donated. */
function signatureOf({ model: { bytes }, donated, hostLoop }: Program): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return `${bytes.length}:${h >>> 0}:${JSON.stringify([donated, hostLoop])}`;
}
