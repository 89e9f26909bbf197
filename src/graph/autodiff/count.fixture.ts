/** Counts operations in tests: of a prepared graph, and those that ONNX Runtime really ran. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { lowerings } from "../compile.ts";
import { prepare } from "../lower/lowering.ts";
import { reachable } from "../lower/passes.ts";
import type { Tensor } from "../tensor.ts";

/** How often each operation occurs after all passes for the CPU. */
export function countOps(...outputs: Tensor[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of reachable(prepare(outputs, lowerings.cpu))) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** Operators run in the profiles with this prefix, by type; the engine must have been disposed. */
export function countRun(prefix: string): Record<string, number> {
  const folder = dirname(prefix);
  const counts: Record<string, number> = {};
  for (const file of readdirSync(folder).filter((name) => join(folder, name).startsWith(prefix)))
    for (const event of JSON.parse(readFileSync(join(folder, file), "utf8")) as {
      cat: string;
      args?: { op_name?: string };
    }[]) {
      const op = event.args?.op_name;
      if (event.cat === "Node" && op) counts[op] = (counts[op] ?? 0) + 1;
    }
  return counts;
}
