/**
 * The two 16-bit floats of checkpoints, as bit patterns in a `Uint16Array`, to and from float32.
 *
 * float16 is IEEE 754 binary16; bfloat16 is the upper half of a float32. Widening is exact. Narrowing rounds to
 * nearest, ties to even, as PyTorch does; float16 overflows to infinity above 65,504.
 */

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** All 65,536 float16 values; a table of 256 KB beats bit arithmetic in JavaScript. */
let widened: Uint32Array | undefined;

function widenTable(): Uint32Array {
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) u32[0] = ((half & 0x8000) << 16) | 0x7f800000 | (fraction << 13);
    else
      f32[0] = sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
    table[half] = u32[0] as number;
  }
  return table;
}

/** Widens float16 bits into `target`, which has the same length. */
export function float16ToFloat32(source: Uint16Array, target: Float32Array): void {
  widened ??= widenTable();
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = widened[source[i] as number] as number;
}

/** Widens bfloat16 bits into `target`, which has the same length. */
export function bfloat16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = (source[i] as number) << 16;
}

/** Narrows float32 to float16 bits; `target` has the same length. */
export function float32ToFloat16(source: Float32Array, target: Uint16Array): void {
  const subnormal = 126 << 23; // 0.5: adding it moves a subnormal half's bits to the bottom of the fraction
  for (let i = 0; i < source.length; i++) {
    f32[0] = source[i] as number;
    const all = u32[0] as number;
    const sign = (all >>> 16) & 0x8000;
    const bits = all & 0x7fffffff;
    if (bits >= 0x47800000) target[i] = sign | (bits > 0x7f800000 ? 0x7e00 : 0x7c00);
    else if (bits < 0x38800000) {
      u32[0] = bits;
      f32[0] = (f32[0] as number) + 0.5;
      target[i] = sign | ((u32[0] as number) - subnormal);
    } else target[i] = sign | ((bits - 0x38000000 + 0xfff + ((bits >>> 13) & 1)) >>> 13);
  }
}

/** Narrows float32 to bfloat16 bits; `target` has the same length. */
export function float32ToBfloat16(source: Float32Array, target: Uint16Array): void {
  for (let i = 0; i < source.length; i++) {
    f32[0] = source[i] as number;
    const bits = u32[0] as number;
    const isNaN = (bits & 0x7fffffff) > 0x7f800000;
    target[i] = isNaN ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}
