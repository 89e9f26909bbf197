import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEvents } from "./tensorboard.ts";
import { crc32c, tfRecord, tfRecords } from "./tfrecord.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-events-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ascii = (text: string) => new TextEncoder().encode(text);

/** A message as `[field, value]` pairs; strings and messages as bytes. */
function fieldsOf(bytes: Uint8Array): [number, number | bigint | Uint8Array][] {
  const reader = new BinaryReader(bytes);
  const fields: [number, number | bigint | Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire === WireType.Varint) fields.push([field, BigInt(reader.int64())]);
    else if (wire === WireType.Bit64) fields.push([field, reader.double()]);
    else if (wire === WireType.Bit32) fields.push([field, reader.float()]);
    else fields.push([field, reader.bytes()]);
  }
  return fields;
}

const records = async (dir: string): Promise<Uint8Array[]> => {
  const names = (await readdir(dir)).sort();
  const files = await Promise.all(names.map((name) => readFile(join(dir, name))));
  return files.flatMap((file) => [...tfRecords(new Uint8Array(file))]);
};

describe("TFRecord", () => {
  it("its checksum is CRC-32C: the check value of the catalogue, and that of 32 zeros from RFC 3720", () => {
    expect(crc32c(ascii("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array())).toBe(0);
  });

  it("a record is read again, and every flipped bit is noticed", () => {
    const record = tfRecord(ascii("loss"));
    expect([...tfRecords(record)]).toEqual([ascii("loss")]);
    for (let bit = 0; bit < record.length * 8; bit++) {
      const damaged = record.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => [...tfRecords(damaged)]).toThrow(RangeError);
    }
  });
});

describe("event files", () => {
  it("hold the version, then a scalar of each metric under its name, with step and time", async () => {
    const dir = join(folder, "fresh");
    const events = await openEvents(dir, 0, () => 1_700_000_000.25);
    await events.write(7, { loss: 0.5, "objective/kl": 12 });
    const [version, step, ...rest] = (await records(dir)).map(fieldsOf);
    expect(rest).toEqual([]);
    expect(version).toEqual([
      [1, 1_700_000_000.25],
      [2, 0n],
      [3, ascii("brain.Event:2")],
    ]);
    const [time, number, [field, summary] = []] = step ?? [];
    expect([time, number, field]).toEqual([[1, 1_700_000_000.25], [2, 7n], 5]);
    const values = fieldsOf(summary as Uint8Array).map(([, value]) => fieldsOf(value as Uint8Array));
    expect(values).toEqual([
      [
        [1, ascii("loss")],
        [2, 0.5],
      ],
      [
        [1, ascii("objective/kl")],
        [2, 12],
      ],
    ]);
  });

  it("of a resumed run say that what came after its checkpoint is void", async () => {
    const dir = join(folder, "resumed");
    await openEvents(dir, 0, () => 100);
    await openEvents(dir, 40, () => 200);
    const restart = fieldsOf((await records(dir)).at(-1) as Uint8Array);
    expect(restart[1]).toEqual([2, 41n]);
    expect(restart[2]?.[0]).toBe(7);
    expect(fieldsOf(restart[2]?.[1] as Uint8Array)).toEqual([[1, 1n]]);
  });
});
