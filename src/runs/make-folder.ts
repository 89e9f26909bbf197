/** Makes the folder of a run, with all that is missing above it (Node). */
import { stat } from "node:fs/promises";
import { makeFolders } from "../models/folder-make.ts";
import { RunError, writeError } from "./errors.ts";

/**
 * Like `mkdir -p`, see models/folder-make.ts.
 *
 * @throws RunError when it cannot be made, or when a file is in the way
 */
export async function makeFolder(dir: string): Promise<void> {
  try {
    await makeFolders(dir);
  } catch (error) {
    const { code, path = dir } = error as NodeJS.ErrnoException;
    const isFile = code === "ENOTDIR" && (await stat(path).catch(() => undefined))?.isFile();
    if (isFile) throw new RunError(`${dir}: a folder is required, ${path} is a file; choose another`);
    if (code === "ENOENT") throw new RunError(`${dir}: no folder can be made there; choose another place`);
    throw writeError(error, dir, "choose another folder, or make room");
  }
}
