/**
 * Where an engine's arrays live between calls: in the host's memory, or in buffers of the graphics card that
 * feed the next call without a copy.
 *
 * `onnxruntime-node` cannot read such a buffer, so arrays go up and come down through sessions that copy one
 * value; the same way works in browsers, and leaves the buffer as it is.
 */
import type * as Ort from "onnxruntime-common";
import type { DType, HostArray, Storage } from "../array.ts";
import { compile, type Provider } from "../compile.ts";
import type { Tensor } from "../tensor.ts";

export interface Device {
  /** Options of a session whose results of these names stay on the device. */
  keeping(results: readonly string[]): Ort.InferenceSession.SessionOptions;
  /** A result may be written over the input that it replaces. */
  readonly inPlace: boolean;
  /** Takes an array over, without a copy where the device is the host. */
  put(array: HostArray): Promise<Ort.Tensor>;
  /** A view of a tensor's values where the device is the host, else a copy. */
  get(tensor: Ort.Tensor): Promise<HostArray>;
  release(tensor: Ort.Tensor): void;
  dispose(): Promise<void>;
}

/** A tensor of ONNX Runtime that shares its memory with an array. */
export const wrap = (ort: typeof Ort, { dtype, shape, data }: HostArray): Ort.Tensor =>
  new ort.Tensor(dtype as "float32", data as Float32Array, shape);

const unwrap = (tensor: Ort.Tensor): HostArray =>
  ({ dtype: tensor.type as DType, shape: [...tensor.dims], data: tensor.data as Storage }) as HostArray;

/** The device of a provider; `open` makes a session with the engine's own options. */
export function deviceOf(
  ort: typeof Ort,
  provider: Provider,
  open: (model: Uint8Array, options: Ort.InferenceSession.SessionOptions) => Promise<Ort.InferenceSession>,
): Device {
  return provider === "webgpu" ? webgpuDevice(ort, open) : hostDevice(ort, provider);
}

const hostDevice = (ort: typeof Ort, provider: Provider): Device => ({
  keeping: () => ({}),
  // The web package does not copy a result back into an array that it was given for it.
  inPlace: provider !== "wasm",
  put: async (array) => wrap(ort, array),
  get: async (tensor) => unwrap(tensor),
  release: () => {},
  dispose: async () => {},
});

const onGpu = "gpu-buffer" as const;
/** The provider has no buffers of other dtypes; such values stay with the host. */
const gpuTypes = new Set<string>(["float32", "float16", "int32", "int64", "bool"]);

function webgpuDevice(
  ort: typeof Ort,
  open: (model: Uint8Array, options: Ort.InferenceSession.SessionOptions) => Promise<Ort.InferenceSession>,
): Device {
  const sessions = new Map<string, Promise<Ort.InferenceSession>>();
  const copy = async (x: Ort.Tensor, direction: "up" | "down"): Promise<Ort.Tensor> => {
    const key = `${direction}:${x.type}:${x.dims.length}`;
    const shape = x.dims.map((_, i) => `D${i}`);
    const session = sessions.get(key) ?? open(...copyProgram(x.type as DType, shape, direction));
    sessions.set(key, session);
    return (await (await session).run({ "0:x": x })).y as Ort.Tensor;
  };
  return {
    keeping: (results) => ({
      preferredOutputLocation: Object.fromEntries(results.map((name) => [name, onGpu])),
    }),
    inPlace: false,
    put: async (array) => {
      const tensor = wrap(ort, array);
      return gpuTypes.has(array.dtype) ? copy(tensor, "up") : tensor;
    },
    get: async (tensor) => unwrap(tensor.location === onGpu ? await copy(tensor, "down") : tensor),
    release: (tensor) => tensor.dispose(),
    dispose: async () => {
      for (const session of sessions.values()) await (await session).release();
      sessions.clear();
    },
  };
}

/** A program of one copy, whose result is left on the device or brought to the host. */
function copyProgram(
  dtype: DType,
  shape: readonly string[],
  direction: "up" | "down",
): [Uint8Array, Ort.InferenceSession.SessionOptions] {
  const same = ({ x }: { readonly [key: string]: unknown }) => ({ y: x as Tensor });
  const { model } = compile(same, [{ x: { dtype, shape } }] as const, { provider: "webgpu" });
  return [model.bytes, direction === "up" ? { preferredOutputLocation: { y: onGpu } } : {}];
}
