/** Module hooks for Node before 22.18: .ts files are read with their types erased, by the code that newer Node has built in. */
import { readFile } from "node:fs/promises";
import type { LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { transformSync } from "@swc/wasm-typescript";

export const load: LoadHook = async (url, context, next) => {
  if (!/^file:.*\.m?ts(?:[?#]|$)/.test(url)) return next(url, context);
  const path = fileURLToPath(url);
  const source = await readFile(path, "utf8");
  return { format: "module", source: erased(source, path), shortCircuit: true };
};

function erased(source: string, filename: string): string {
  try {
    return transformSync(source, { mode: "strip-only", filename }).code;
  } catch (error) {
    const { message = String(error), startLine } = error as { message?: string; startLine?: number };
    throw new SyntaxError(`${filename}${startLine === undefined ? "" : `:${startLine}`}: ${message}`);
  }
}
