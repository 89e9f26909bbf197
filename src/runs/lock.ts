/**
 * One run at a time in a folder (Node): a file `.lock` names the process that is at work there.
 *
 * A lock whose process is gone (same machine, no such process, or one that started later under the same number) is
 * taken over. Whether a process of another machine still lives cannot be known, so its lock stands.
 */
import { randomBytes } from "node:crypto";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { RunError, writeError } from "./errors.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process started, as the kernel counts; a number is given to a later process again. Linux only. */
  readonly ticks?: string;
  readonly since: string;
}

/** Locks of this process: a lock file with its number that is not here is from an earlier one. */
const held = new Set<string>();

/** A lock file that is empty belongs to a process that is just writing it, for this many milliseconds. */
const writingTime = 2_000;

/**
 * Locks a folder that exists; the result unlocks it.
 *
 * @throws RunError when another run is at work there
 */
export async function lockFolder(dir: string): Promise<() => Promise<void>> {
  const path = join(resolve(dir), ".lock");
  const mine: Holder = {
    pid: process.pid,
    host: hostname(),
    ...(await startOf(process.pid)),
    since: new Date().toISOString(),
  };
  // Before anything is awaited: of several calls in this process the first one goes on.
  if (held.has(path)) throw refusal(dir, mine, path);
  held.add(path);
  try {
    await take(dir, path, mine);
  } catch (error) {
    held.delete(path);
    throw writeError(error, dir, "choose another folder, or make room");
  }
  return async () => {
    if (held.delete(path)) await rm(path, { force: true });
  };
}

async function take(dir: string, path: string, mine: Holder): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      return await writeFile(path, `${JSON.stringify(mine)}\n`, { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue; // it has just gone
    const holder = holderFrom(text);
    if (holder ? await isAlive(holder) : await isFresh(path)) throw refusal(dir, holder, path);
    await removeStale(path, text);
  }
  throw refusal(dir, undefined, path);
}

function holderFrom(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, host, ticks }: Holder): Promise<boolean> {
  if (host !== hostname()) return true;
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const now = (await startOf(pid)).ticks;
  return ticks === undefined || now === undefined || now === ticks;
}

/** Field 22 of /proc/PID/stat, counted after the name, which may hold anything. */
async function startOf(pid: number): Promise<{ ticks?: string }> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const ticks = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  return ticks ? { ticks } : {};
}

const isFresh = async (path: string): Promise<boolean> =>
  stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs < writingTime,
    () => false,
  );

/** Two processes may find the same stale lock: the slower one must not remove the lock of the faster. */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}-${randomBytes(4).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, "utf8")) === stale) await rm(aside, { force: true });
  else await rename(aside, path);
}

function refusal(dir: string, holder: Holder | undefined, path: string): RunError {
  const who = holder ? `process ${holder.pid} on ${holder.host}, since ${holder.since}` : "just starting";
  const elsewhere = holder && holder.host !== hostname() ? `; if that one is over, delete ${path}` : "";
  return new RunError(
    `${dir}: another run is at work in this folder (${who}): choose another folder, or wait for its end${elsewhere}`,
  );
}
