/**
 * TFRecord, the framing of TensorBoard's event files: each record is
 *
 *     uint64 length, uint32 masked crc of it, bytes, uint32 masked crc of them     little-endian
 *
 * with CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), masked as ((crc >> 15) | (crc << 17)) + 0xa282ead8 so
 * that a checksum of data which contains checksums stays meaningful (tensorflow/tsl/lib/hash/crc32c.h).
 */

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C; of the ASCII digits 123456789 it is 0xe3069283. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

const masked = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** One record with its frame. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + data.length);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return out;
}

/**
 * The records of a file, for reading one again.
 *
 * @throws RangeError when a checksum does not fit or the file ends within a record
 */
export function* tfRecords(file: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    if (view.getUint32(at + 8, true) !== masked(file.subarray(at, at + 8)) || data.length !== length)
      throw new RangeError(`tfRecords: a record at byte ${at} is damaged`);
    if (view.getUint32(at + 12 + length, true) !== masked(data))
      throw new RangeError(`tfRecords: the data of the record at byte ${at} is damaged`);
    yield data;
    at += 16 + length;
  }
}
