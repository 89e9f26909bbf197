import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HostArray } from "../../graph/array.ts";
import { hostArray } from "../../graph/array.ts";
import { CheckpointError } from "../errors.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts";
import { encodeSafetensors, readSafetensors } from "./safetensors.ts";

const bytesOf = ({ data }: HostArray) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
const join = (pieces: Iterable<Uint8Array>) => new Uint8Array(Buffer.concat([...pieces]));

/** A file with a header of our choice, as a dishonest writer would make it. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

const tensors: Record<string, HostArray> = {
  b: hostArray("float32", [2, 2], [1, -2.5, 3, 65504]),
  ids: hostArray("int64", [2], [1, -2]),
  flags: hostArray("bool", [3], [1, 0, 1]),
  scalar: hostArray("float32", [], [7]),
  nothing: hostArray("float32", [0, 4], []),
};

describe("safetensors", () => {
  it("reads back what it wrote, aligned and without copying", () => {
    const file = join(encodeSafetensors(tensors));
    const read = readSafetensors(file);
    expect(read.tensors).toEqual(Object.fromEntries(Object.entries(tensors)));
    expect(read.metadata).toEqual({ format: "pt" });
    expect((read.tensors.b as HostArray).data.buffer).toBe(file.buffer);
    expect(new DataView(file.buffer).getBigUint64(0, true) % 8n).toBe(0n);
  });

  it("reads a file whose tensors lie unaligned", () => {
    const header = JSON.stringify({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4] } });
    const padded = header + " ".repeat((((1 - header.length) % 4) + 4) % 4);
    const file = fileOf(padded, 4);
    new DataView(file.buffer).setFloat32(file.length - 4, 1.5, true);
    expect(readSafetensors(file).tensors.x?.data).toEqual(new Float32Array([1.5]));
  });

  it.each(["float16", "bfloat16"] as const)("stores floats as %s and reads them as float32", (dtype) => {
    const file = join(encodeSafetensors(tensors, { dtype }));
    const read = readSafetensors(file).tensors;
    expect(read.b?.dtype).toBe("float32");
    expect([...(read.b as HostArray<"float32">).data].slice(0, 3)).toEqual([1, -2.5, 3]);
    expect(read.ids).toEqual(tensors.ids);
  });

  it.each([
    [
      "an unknown dtype",
      { x: { dtype: "F33", shape: [1], data_offsets: [0, 4] } },
      4,
      /dtype F33, known are/,
    ],
    [
      "a size that is not the shape's",
      { x: { dtype: "F32", shape: [2], data_offsets: [0, 4] } },
      4,
      /needs 8 bytes/,
    ],
    ["a negative offset", { x: { dtype: "F32", shape: [1], data_offsets: [-4, 0] } }, 4, /data_offsets/],
    ["a negative shape", { x: { dtype: "F32", shape: [-1, -1], data_offsets: [0, 4] } }, 4, /shape/],
    [
      "a shape beyond 2^53",
      { x: { dtype: "F32", shape: [2 ** 30, 2 ** 30], data_offsets: [0, 4] } },
      4,
      /shape/,
    ],
    [
      "overlapping tensors",
      {
        x: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
        y: { dtype: "F32", shape: [2], data_offsets: [4, 12] },
      },
      12,
      /tensor y starts at byte .*overlap/,
    ],
    ["a hole", { x: { dtype: "F32", shape: [1], data_offsets: [4, 8] } }, 8, /hole/],
    ["less data than it says", { x: { dtype: "F32", shape: [2], data_offsets: [0, 8] } }, 4, /truncated/],
    [
      "more data than it says",
      { x: { dtype: "F32", shape: [1], data_offsets: [0, 4] } },
      8,
      /4 bytes follow/,
    ],
    ["no JSON", "{x", 0, /not JSON/],
    ["a list", "[]", 0, /not a JSON object/],
    [
      "a dtype that models do not use",
      { x: { dtype: "U16", shape: [1], data_offsets: [0, 2] } },
      2,
      /convert it/,
    ],
  ])("refuses a header with %s", (_, header, bytes, message) => {
    const file = fileOf(header, bytes);
    expect(() => readSafetensors(file, "m.safetensors")).toThrow(CheckpointError);
    expect(() => readSafetensors(file, "m.safetensors")).toThrow(message);
    expect(() => readSafetensors(file, "m.safetensors")).toThrow(/^m\.safetensors/);
  });

  it("refuses a header longer than the file, and a file that is something else", () => {
    const file = fileOf({}, 0);
    expect(() => readSafetensors(file.subarray(0, 9))).toThrow(/truncated/);
    expect(() => readSafetensors(new Uint8Array(3))).toThrow(/at least 8 bytes/);
    expect(() => readSafetensors(new TextEncoder().encode("PK\u0003\u0004 some zip"))).toThrow(
      /not a safetensors/,
    );
  });

  it("any damage to the header is a CheckpointError or harmless, never a crash", () => {
    const file = join(encodeSafetensors({ b: tensors.b as HostArray, ids: tensors.ids as HostArray }));
    const damage = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    const cut = fc.nat(file.length);
    fc.assert(
      fc.property(damage, cut, fc.boolean(), (edits, length, isCut) => {
        const broken = isCut ? file.slice(0, length) : file.slice();
        for (const [at, byte] of edits) if (at < broken.length) broken[at] = byte;
        try {
          readSafetensors(broken);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  const real = "../shared/data/tinystories-656k/model.safetensors";
  it("writes the bytes of a real file's tensors unchanged", (context) => {
    let file: Uint8Array;
    try {
      file = readFileSync(real);
    } catch {
      return context.skip(`${real} is absent`);
    }
    const { tensors: weights } = readSafetensors(file);
    expect(weights["lm_head.weight"]?.shape).toEqual([2048, 128]);
    const again = readSafetensors(join(encodeSafetensors(weights))).tensors;
    expect(Object.keys(again).sort()).toEqual(Object.keys(weights).sort());
    for (const [name, array] of Object.entries(weights)) {
      expect(again[name]?.shape).toEqual(array.shape);
      expect(bytesOf(again[name] as HostArray).equals(bytesOf(array)), name).toBe(true);
    }
  });
});

describe("16-bit floats", () => {
  const half = (x: number) => {
    const out = new Uint16Array(1);
    float32ToFloat16(new Float32Array([x]), out);
    return out[0];
  };

  it("every float16 survives widening and narrowing", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((i) => (i & 0x7fff) <= 0x7c00);
    const wide = new Float32Array(all.length);
    float16ToFloat32(all, wide);
    const back = new Uint16Array(all.length);
    float32ToFloat16(wide, back);
    expect(back).toEqual(all);
  });

  it("float16 rounds to nearest even, underflows gradually and overflows to infinity", () => {
    expect(half(1 + 2 ** -11)).toBe(0x3c00);
    expect(half(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(half(2 ** -24)).toBe(1);
    expect(half(2 ** -25)).toBe(0);
    expect(half(-(2 ** -14))).toBe(0x8400);
    expect(half(65519)).toBe(0x7bff);
    expect(half(65520)).toBe(0x7c00);
    expect(half(-1e9)).toBe(0xfc00);
    expect((half(Number.NaN) as number) & 0x7fff).toBeGreaterThan(0x7c00);
  });

  it("bfloat16 rounds to nearest even and keeps infinities and NaN", () => {
    const x = new Float32Array([1 + 2 ** -8, 1 + 3 * 2 ** -8, Infinity, -Infinity, Number.NaN, -0, 3.4e38]);
    const bits = new Uint16Array(x.length);
    float32ToBfloat16(x, bits);
    const back = new Float32Array(x.length);
    bfloat16ToFloat32(bits, back);
    expect([...back]).toEqual([1, 1 + 2 ** -6, Infinity, -Infinity, Number.NaN, -0, Infinity]);
  });
});
