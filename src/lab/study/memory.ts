/** The largest resident memory of this process since a moment (Linux); undefined where the system does not tell. */
import { readFile, writeFile } from "node:fs/promises";

/** Starts anew; false when the system cannot. */
export const resetPeakMemory = (): Promise<boolean> =>
  writeFile("/proc/self/clear_refs", "5").then(
    () => true,
    () => false,
  );

/** Bytes. */
export async function peakMemory(): Promise<number | undefined> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kilobytes = /^VmHWM:\s*(\d+) kB/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : 1024 * Number(kilobytes);
}
