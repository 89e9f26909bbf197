/** Makes a folder with all that is missing above it (Node). */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Like `mkdir -p`. Node's own recursive form never returns below /proc and its like, where making a folder fails with
 * "no such file" although the parent is there; going down one by one says so.
 *
 * @throws the file system's error, with `code` and the `path` where it happened: ENOTDIR where a file is in the way,
 *   ENOENT where no folder can be made
 */
export async function makeFolders(dir: string): Promise<void> {
  const missing: string[] = [];
  let path = resolve(dir);
  for (;;) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (found && !found.isDirectory())
      throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), { code: "ENOTDIR", path });
    if (found || path === dirname(path)) break;
    missing.unshift(path);
    path = dirname(path);
  }
  for (const folder of missing)
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
}
