/**
 * The safetensors format, read and written without ever holding a second copy of the weights.
 *
 * A file is eight bytes of header length (little endian), a JSON header
 * `{name: {dtype, shape, data_offsets: [begin, end]}, __metadata__: {...}}`, and the tensors' bytes, row-major, without
 * holes. Source: https://github.com/huggingface/safetensors (Format). float16 and bfloat16 are read as float32, since
 * training and ONNX Runtime's CPU kernels are float32. Runs in browsers; files are in checkpoint.ts.
 */
import type { DType, HostArray } from "../../graph/array.ts";
import { bytesPerElement, sizeOf } from "../../graph/array.ts";
import { CheckpointError } from "../errors.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts";

/** Every dtype of the format whose elements fill whole bytes, and the host dtype that it is read as. */
const formatDTypes = {
  F64: { bytes: 8, host: "float64" },
  F32: { bytes: 4, host: "float32" },
  F16: { bytes: 2, host: "float32" },
  BF16: { bytes: 2, host: "float32" },
  I64: { bytes: 8, host: "int64" },
  I32: { bytes: 4, host: "int32" },
  I8: { bytes: 1, host: "int8" },
  U8: { bytes: 1, host: "uint8" },
  BOOL: { bytes: 1, host: "bool" },
  U64: { bytes: 8 },
  U32: { bytes: 4 },
  I16: { bytes: 2 },
  U16: { bytes: 2 },
  F8_E4M3: { bytes: 1 },
  F8_E5M2: { bytes: 1 },
} as const satisfies Record<string, { bytes: number; host?: DType }>;

export type FormatDType = keyof typeof formatDTypes;

/** How floating tensors are stored; integers and booleans always keep their own type. */
export type FloatFormat = "float32" | "float16" | "bfloat16";

/** One tensor of a file: `begin` and `end` are byte offsets from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: FormatDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly entries: readonly TensorEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** The limit of the reference implementation: a longer header is an attack or another file type. */
const maxHeaderBytes = 100_000_000;
const chunkBytes = 16 * 2 ** 20;

/**
 * Reads the length of the JSON header from the first eight bytes.
 * Throws `CheckpointError` when the file cannot hold such a header.
 */
export function headerLength(start: Uint8Array, fileBytes: number, source: string): number {
  if (fileBytes < 8 || start.length < 8)
    throw new CheckpointError(
      `${source}: a safetensors file has at least 8 bytes, got ${fileBytes}: download it again`,
    );
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > maxHeaderBytes)
    throw new CheckpointError(`${source}: the header claims ${length} bytes: this is not a safetensors file`);
  if (Number(length) + 8 > fileBytes)
    throw new CheckpointError(
      `${source}: the header claims ${length} bytes but the file has ${fileBytes}: it is truncated, download it again`,
    );
  return Number(length);
}

/**
 * Parses and checks the JSON header: known dtypes, sizes that equal the shapes, no hole, no overlap, and a file that
 * ends where the last tensor does. Throws `CheckpointError` with the first tensor that lies.
 */
export function parseHeader(json: Uint8Array, fileBytes: number, source: string): SafetensorsHeader {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    throw new CheckpointError(`${source}: the safetensors header is not JSON: download the file again`, {
      cause,
    });
  }
  if (!isRecord(raw)) throw new CheckpointError(`${source}: the safetensors header is not a JSON object`);
  const dataStart = 8 + json.length;
  const metadata = isRecord(raw.__metadata__) ? (raw.__metadata__ as Record<string, string>) : {};
  const entries = Object.entries(raw)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => parseEntry(name, entry, dataStart, `${source}: tensor ${name}`))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = dataStart;
  for (const entry of entries) {
    if (entry.begin !== end)
      throw new CheckpointError(
        `${source}: tensor ${entry.name} starts at byte ${entry.begin}, expected ${end}: ` +
          `tensors ${entry.begin < end ? "overlap" : "leave a hole"}, the header lies`,
      );
    end = entry.end;
  }
  if (end > fileBytes)
    throw new CheckpointError(
      `${source}: the tensors need ${end} bytes but the file has ${fileBytes}: it is truncated, download it again`,
    );
  if (end < fileBytes)
    throw new CheckpointError(`${source}: ${fileBytes - end} bytes follow the last tensor: the header lies`);
  return { entries, metadata };
}

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && !Array.isArray(x);
const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function parseEntry(name: string, entry: unknown, dataStart: number, where: string): TensorEntry {
  if (!isRecord(entry)) throw new CheckpointError(`${where} is not an object in the header`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(formatDTypes, dtype))
    throw new CheckpointError(
      `${where} has dtype ${dtype}, known are ${Object.keys(formatDTypes).join(", ")}`,
    );
  if (!Array.isArray(shape) || !shape.every(isCount) || !isCount(sizeOf(shape)))
    throw new CheckpointError(`${where} has shape ${JSON.stringify(shape)}, expected a list of counts`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw new CheckpointError(`${where} has data_offsets ${JSON.stringify(offsets)}, expected [begin, end]`);
  const [begin, end] = offsets as [number, number];
  const needed = sizeOf(shape) * formatDTypes[dtype as FormatDType].bytes;
  if (end - begin !== needed)
    throw new CheckpointError(
      `${where}: ${dtype} of shape [${shape.join(", ")}] needs ${needed} bytes, the header gives ${end - begin}`,
    );
  return { name, dtype: dtype as FormatDType, shape, begin: dataStart + begin, end: dataStart + end };
}

/** A tensor that is being read: an array to fill, and what turns raw bytes into its elements. */
export interface TensorDecoder {
  readonly array: HostArray;
  /** Where the file's bytes can be read straight into, when they need no conversion. */
  readonly place?: (byteOffset: number, length: number) => Uint8Array;
  /** Converts the bytes from `byteOffset` of the tensor on; whole elements. */
  decode(chunk: Uint8Array, byteOffset: number): void;
}

/** Allocates the array for `entry`; throws `CheckpointError` for a dtype that models do not use. */
export function tensorDecoder(entry: TensorEntry, source: string): TensorDecoder {
  const { dtype, shape } = entry;
  const row: { bytes: number; host?: DType } = formatDTypes[dtype];
  if (row.host === undefined)
    throw new CheckpointError(
      `${source}: tensor ${entry.name} is ${dtype}, which Attune does not read: convert it to F32`,
    );
  if (dtype === "F16" || dtype === "BF16") {
    const data = new Float32Array(sizeOf(shape));
    const widen = dtype === "F16" ? float16ToFloat32 : bfloat16ToFloat32;
    return {
      array: { dtype: "float32", shape, data },
      decode: (chunk, offset) => {
        const aligned = chunk.byteOffset % 2 === 0 ? chunk : chunk.slice();
        const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
        widen(halves, data.subarray(offset / 2, offset / 2 + halves.length));
      },
    };
  }
  const buffer = new ArrayBuffer(entry.end - entry.begin);
  const place = (offset: number, length: number) => new Uint8Array(buffer, offset, length);
  return {
    array: viewOf(row.host, shape, buffer, 0),
    place,
    decode: (chunk, offset) => place(offset, chunk.length).set(chunk),
  };
}

/** Interprets a buffer as an array without copying; the offset must be aligned. */
const viewOf = (
  dtype: DType,
  shape: readonly number[],
  buffer: ArrayBufferLike,
  offset: number,
): HostArray => ({
  dtype,
  shape,
  data: views[dtype](buffer as ArrayBuffer, offset, sizeOf(shape)),
});

const views: Record<DType, (buffer: ArrayBuffer, offset: number, length: number) => HostArray["data"]> = {
  float32: (b, o, n) => new Float32Array(b, o, n),
  float64: (b, o, n) => new Float64Array(b, o, n),
  float16: (b, o, n) => new Uint16Array(b, o, n),
  int64: (b, o, n) => new BigInt64Array(b, o, n),
  int32: (b, o, n) => new Int32Array(b, o, n),
  int8: (b, o, n) => new Int8Array(b, o, n),
  uint8: (b, o, n) => new Uint8Array(b, o, n),
  bool: (b, o, n) => new Uint8Array(b, o, n),
};

/**
 * Reads a whole file that is in memory. Tensors that need no conversion and lie aligned are views of `file`, so the
 * file's bytes must not change while they are in use.
 */
export function readSafetensors(
  file: Uint8Array,
  source = "safetensors",
): { tensors: Record<string, HostArray>; metadata: Readonly<Record<string, string>> } {
  const length = headerLength(file, file.length, source);
  const { entries, metadata } = parseHeader(file.subarray(8, 8 + length), file.length, source);
  const tensors: Record<string, HostArray> = {};
  for (const entry of entries) {
    const bytes = file.subarray(entry.begin, entry.end);
    const row: { bytes: number; host?: DType } = formatDTypes[entry.dtype];
    const isView = row.host !== undefined && bytesPerElement(row.host) === row.bytes;
    if (isView && bytes.byteOffset % row.bytes === 0)
      tensors[entry.name] = viewOf(row.host as DType, entry.shape, bytes.buffer, bytes.byteOffset);
    else {
      const decoder = tensorDecoder(entry, source);
      decoder.decode(bytes, 0);
      tensors[entry.name] = decoder.array;
    }
  }
  return { tensors, metadata };
}

const formatOf = (array: HostArray, float: FloatFormat): FormatDType => {
  const formats: Record<DType, FormatDType> = {
    float32: float === "float32" ? "F32" : float === "float16" ? "F16" : "BF16",
    float64: "F64",
    float16: "F16",
    int64: "I64",
    int32: "I32",
    int8: "I8",
    uint8: "U8",
    bool: "BOOL",
  };
  return formats[array.dtype];
};

/** The bytes that a tensor will take in the file. */
export const storedBytes = (array: HostArray, float: FloatFormat): number =>
  sizeOf(array.shape) * formatDTypes[formatOf(array, float)].bytes;

/**
 * Writes tensors as the pieces of a safetensors file, one after the other: the header, padded with spaces so that the
 * data starts at a multiple of eight, then each tensor in pieces of at most 16 MB. Unconverted pieces are views.
 * Wide elements come first, then by name, as in the reference implementation, so every tensor is aligned.
 */
export function* encodeSafetensors(
  tensors: Readonly<Record<string, HostArray>>,
  {
    dtype = "float32",
    metadata = { format: "pt" },
  }: { dtype?: FloatFormat; metadata?: Record<string, string> } = {},
): Generator<Uint8Array<ArrayBufferLike>> {
  const list = Object.entries(tensors)
    .map(([name, array]) => ({ name, array, format: formatOf(array, dtype) }))
    .sort(
      (a, b) => formatDTypes[b.format].bytes - formatDTypes[a.format].bytes || (a.name < b.name ? -1 : 1),
    );
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, array, format } of list) {
    const end = offset + storedBytes(array, dtype);
    header[name] = { dtype: format, shape: array.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(json, 8);
  yield start;

  for (const { array } of list) {
    if (array.dtype === "float32" && dtype !== "float32") {
      const narrow = dtype === "float16" ? float32ToFloat16 : float32ToBfloat16;
      const step = chunkBytes / 2;
      for (let i = 0; i < array.data.length; i += step) {
        const piece = (array.data as Float32Array).subarray(i, i + step);
        const halves = new Uint16Array(piece.length);
        narrow(piece, halves);
        yield new Uint8Array(halves.buffer);
      }
    } else {
      // Piece by piece: a view of bytes ends at 4 GB in Node 20, an array of floats at four times that.
      const { buffer, byteOffset, byteLength } = array.data;
      for (let i = 0; i < byteLength; i += chunkBytes)
        yield new Uint8Array(buffer, byteOffset + i, Math.min(chunkBytes, byteLength - i));
    }
  }
}
