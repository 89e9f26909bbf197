/** Writes a file whole or not at all (Node): beside its place, brought to the disk, renamed. */
import { open, rename, rm } from "node:fs/promises";

export async function writeWhole(path: string, content: string): Promise<void> {
  const fresh = `${path}.new`;
  try {
    const file = await open(fresh, "w");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => {});
    throw Object.assign(error as Error, { path }); // not that of the file beside it, and none from a write
  }
}

export const writeJson = (path: string, value: unknown): Promise<void> =>
  writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
