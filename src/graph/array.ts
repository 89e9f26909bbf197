/**
 * Arrays on the host: what goes into and comes out of a compiled graph.
 * The dtype names are those of NumPy, ONNX Runtime and PyTorch.
 */
import { ShapeError } from "./errors.ts";

export type DType = "float32" | "float64" | "float16" | "int64" | "int32" | "int8" | "uint8" | "bool";

interface StorageOf {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

export type Storage = StorageOf[DType];

/** A dense row-major array; `data.length` is the product of `shape`. */
export interface HostArray<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: StorageOf[D];
}

/** An array that stays with the engine; its bytes come to the host only when asked for. */
export interface Resident {
  readonly resident: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export type Value = HostArray | Resident;

const storages = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

export const bytesPerElement = (dtype: DType): number => storages[dtype].BYTES_PER_ELEMENT;

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Allocates an array of zeros. */
export function zerosArray<D extends DType>(dtype: D, shape: readonly number[]): HostArray<D> {
  return { dtype, shape, data: new storages[dtype](sizeOf(shape)) as StorageOf[D] };
}

/** Wraps numbers as an array of the given dtype; throws `ShapeError` when the count does not match the shape. */
export function hostArray<D extends DType>(
  dtype: D,
  shape: readonly number[],
  values: ArrayLike<number> | StorageOf[D],
): HostArray<D> {
  const n = sizeOf(shape);
  if (values.length !== n)
    throw new ShapeError(`hostArray: [${shape.join(", ")}] needs ${n} values, got ${values.length}`);
  if (values instanceof storages[dtype]) return { dtype, shape, data: values as StorageOf[D] };
  const numbers = values as ArrayLike<number>;
  const data =
    dtype === "int64"
      ? BigInt64Array.from(numbers, BigInt)
      : storages[dtype as Exclude<DType, "int64">].from(numbers);
  return { dtype, shape, data: data as StorageOf[D] };
}
