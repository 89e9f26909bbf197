/**
 * The other end of `peer.ts` for Node: hosts a module that exports `ready` and `commands`.
 *
 *     node serve.js MODULE
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Answer, Commands } from "./peer.ts";

const say = process.stdout.write.bind(process.stdout);
// Whatever libraries print goes to standard error: standard output has answers alone.
console.log = console.info = console.warn = console.debug = console.error;

/** The highest resident memory of this process so far, in bytes. */
function peakRss(): number {
  try {
    const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes) return Number(kilobytes) * 1024;
  } catch {
    // Not Linux: getrusage has it, in kilobytes.
  }
  return process.resourceUsage().maxRSS * 1024;
}

const module_ = (await import(pathToFileURL(process.argv[2] as string).href)) as {
  ready: string | (() => Promise<string>);
  commands: Commands;
};
const { commands } = module_;
const ready = typeof module_.ready === "function" ? await module_.ready() : module_.ready;
say(`${JSON.stringify({ ready, commands: Object.keys(commands) })}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...request } = JSON.parse(line) as { id: number; command: string };
  try {
    const run = commands[command] as ((request: object) => Promise<Answer>) | undefined;
    if (!run) throw new Error(`unknown command; known are ${Object.keys(commands).join(", ")}`);
    const result = await run(request);
    say(`${JSON.stringify({ id, result: { ...result, peak_rss: peakRss() } })}\n`);
  } catch (error) {
    say(`${JSON.stringify({ id, error: error instanceof Error ? error.message : String(error) })}\n`);
  }
}
process.exit(0);
