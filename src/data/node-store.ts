/**
 * Rows by number that may be more than memory holds (Node): up to a budget they stay as they are, beyond it all of
 * them go to a temporary file, and memory keeps eight bytes a row.
 *
 * The file is removed as soon as it is open, so that nothing stays behind whatever ends the process (where an open
 * file cannot be removed, it goes when the process exits).
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { DataError } from "./errors.ts";
import type { RowList } from "./list.ts";

export interface StoreOptions {
  /** Bytes of rows that may stay in memory. Default 256 MiB. */
  readonly memoryBudget?: number;
  /** Folder of the temporary file. Default: the system's, which TMPDIR names. */
  readonly temporaryDir?: string;
}

export interface RowStore<T> extends RowList<T> {
  push(row: T): void;
  /** Rows that memory holds. */
  readonly held: number;
}

const defaultBudget = 256 * 2 ** 20;
/** Bytes that are written at once. */
const pageSize = 2 ** 20;

export function createRowStore<T>(options: StoreOptions = {}): RowStore<T> {
  const { memoryBudget = defaultBudget, temporaryDir = tmpdir() } = options;
  let rows: T[] = [];
  let bytes = 0;
  let file: SpillFile | undefined;
  const store: RowStore<T> = {
    get length() {
      return file ? file.length : rows.length;
    },
    get held() {
      return rows.length;
    },
    push(row) {
      if (file) return file.push(serialize(row));
      rows.push(row);
      bytes += sizeOf(row);
      if (bytes <= memoryBudget) return;
      file = spillFile(temporaryDir);
      for (const held of rows) file.push(serialize(held));
      rows = [];
    },
    at(index) {
      if (!file) return rows.at(index);
      const i = index < 0 ? file.length + index : index;
      return i >= 0 && i < file.length ? (deserialize(file.read(i)) as T) : undefined;
    },
    *[Symbol.iterator]() {
      for (let i = 0; i < store.length; i++) yield store.at(i) as T;
    },
  };
  return store;
}

interface SpillFile {
  readonly length: number;
  push(record: Uint8Array): void;
  read(index: number): Uint8Array;
}

/** Closes the files of stores that nobody holds any more. */
const abandoned = new FinalizationRegistry<number>((descriptor) => closeSync(descriptor));

function spillFile(parent: string): SpillFile {
  const descriptor = writing(parent, () => {
    const folder = mkdtempSync(join(parent, "attune-rows-"));
    const descriptor = openSync(join(folder, "rows"), "w+");
    const remove = () => rmSync(folder, { recursive: true, force: true });
    try {
      remove();
    } catch {
      process.once("exit", remove);
    }
    return descriptor;
  });
  let ends = new Float64Array(1024);
  let length = 0;
  const page = new Uint8Array(pageSize);
  let paged = 0;
  let written = 0;
  const write = (block: Uint8Array) => {
    writing(parent, () => {
      for (let done = 0; done < block.length; )
        done += writeSync(descriptor, block, done, block.length - done, written + done);
    });
    written += block.length;
  };
  const flush = () => {
    write(page.subarray(0, paged));
    paged = 0;
  };
  const file: SpillFile = {
    get length() {
      return length;
    },
    push(record) {
      if (length === ends.length) {
        const more = new Float64Array(2 * length);
        more.set(ends);
        ends = more;
      }
      if (paged + record.length > pageSize) flush();
      if (record.length > pageSize) write(record);
      else {
        page.set(record, paged);
        paged += record.length;
      }
      ends[length++] = written + paged;
    },
    read(index) {
      if (paged > 0) flush();
      const from = index === 0 ? 0 : (ends[index - 1] as number);
      const record = new Uint8Array((ends[index] as number) - from);
      for (let done = 0; done < record.length; ) {
        const n = readSync(descriptor, record, done, record.length - done, from + done);
        if (n === 0) throw new DataError(`the temporary file of rows in ${parent} was cut short; run again`);
        done += n;
      }
      return record;
    },
  };
  abandoned.register(file, descriptor);
  return file;
}

function writing<R>(folder: string, write: () => R): R {
  try {
    return write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOSPC" ? "the disk is full" : message;
    throw new DataError(
      `${folder}: rows that do not fit into memory cannot be written there: ${reason}; name a folder with room in TMPDIR`,
      { cause },
    );
  }
}

/** About how many bytes a value takes. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return 24 + 2 * value.length;
  if (typeof value !== "object" || value === null) return 8;
  if (ArrayBuffer.isView(value)) return 96 + value.byteLength;
  let size = 48;
  for (const item of Array.isArray(value) ? value : Object.values(value)) size += 8 + sizeOf(item);
  return size;
}
