/** Makes a folder with all that is missing above it (Node). */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { RunError, writeError } from "./errors.ts";

/**
 * Like `mkdir -p`. Node's own recursive form never returns below /proc and its like, where making a folder fails with
 * "no such file" although the parent is there; going down one by one says so.
 *
 * @throws RunError when it cannot be made, or when a file is in the way
 */
export async function makeFolder(dir: string): Promise<void> {
  const missing: string[] = [];
  let path = resolve(dir);
  for (;;) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw writeError(error, dir, "choose another folder");
    });
    if (found && !found.isDirectory())
      throw new RunError(`${dir}: a folder is required, ${path} is a file; choose another`);
    if (found || path === dirname(path)) break;
    missing.unshift(path);
    path = dirname(path);
  }
  for (const folder of missing)
    try {
      await mkdir(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") continue;
      if (code === "ENOENT") throw new RunError(`${dir}: no folder can be made there; choose another place`);
      throw writeError(error, dir, "choose another folder, or make room");
    }
}
