/** The most memory that this process has had, in bytes: since the last reset on Linux, elsewhere since it began. */
import { readFileSync, writeFileSync } from "node:fs";

export interface MemoryMeter {
  /** Begins anew, where the system can. */
  reset(): void;
  /** The peak of resident memory, in bytes. */
  peak(): number;
}

export function memoryMeter(): MemoryMeter {
  const canReset = process.platform === "linux" && clear();
  return {
    reset: () => void (canReset && clear()),
    peak: () => (canReset ? highWaterMark() : undefined) ?? process.resourceUsage().maxRSS * 1024,
  };
}

/** The kernel's own count of the peak begins at what is resident now (proc(5), clear_refs). */
function clear(): boolean {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return true;
  } catch {
    return false;
  }
}

function highWaterMark(): number | undefined {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}
