/**
 * Writes a folder atomically (Node): everything goes into a temporary folder beside the target, which takes the target's
 * place only when it is complete, so a full disk or a crash leaves the old folder as it was.
 */
import { cp, mkdir, open, readdir, realpath, rename, rm, statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { CheckpointError } from "./errors.ts";
import { makeFolders } from "./folder-make.ts";

export interface FolderKind {
  /** For messages: "a model". */
  readonly what: string;
  /** A folder without this file is of another kind, and not replaced unless it is empty. */
  readonly marker: string;
  /** Names that do not outlive the folder's replacement. */
  readonly ownFiles: RegExp;
  /** About how much will be written. */
  readonly bytes: number;
}

/**
 * Lets `write` fill a fresh folder, and puts it in the place of `dir`.
 *
 * @throws CheckpointError when `dir` is something else, or the disk is full; nothing has changed then
 */
export async function replaceFolder(
  dir: string,
  kind: FolderKind,
  write: (fresh: string) => Promise<void>,
): Promise<void> {
  const target = await realpath(dir).catch(() => resolve(dir));
  const kept = await filesToKeep(target, dir, kind);
  const parent = dirname(target);
  const unique = `${process.pid}-${Math.random().toString(36).slice(2, 10)}`;
  const fresh = join(parent, `.${basename(target)}.new-${unique}`);
  try {
    await makeFolders(parent);
    await checkSpace(parent, kind);
    await mkdir(fresh);
    for (const name of kept) await cp(join(target, name), join(fresh, name), { recursive: true });
    await write(fresh);
    await swap(fresh, target, join(parent, `.${basename(target)}.old-${unique}`));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true }).catch(() => {});
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof CheckpointError || code === undefined) throw error;
    const reason = { ENOSPC: "the disk is full", ENOENT: "no folder can be made there" }[code] ?? message;
    throw new CheckpointError(`${dir}: the checkpoint could not be written: ${reason}; nothing was changed`, {
      cause: error,
    });
  }
}

/** Refuses to replace what is not a folder of its kind, and lists what must survive the replacement of one that is. */
async function filesToKeep(
  target: string,
  dir: string,
  { what, marker, ownFiles }: FolderKind,
): Promise<string[]> {
  const names = await readdir(target).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new CheckpointError(`${dir}: a checkpoint is a folder, and this is not one`, { cause: error });
  });
  if (names.length > 0 && !names.includes(marker))
    throw new CheckpointError(
      `${dir}: the folder holds something else than ${what}: choose another or empty it`,
    );
  return names.filter((name) => !ownFiles.test(name));
}

async function checkSpace(parent: string, { bytes }: FolderKind): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(parent);
  if (blocks === 0) return; // a file system that is no disk, such as /proc: writing there tells what is wrong
  if (bytes > bavail * bsize)
    throw new CheckpointError(
      `${parent}: the disk is full: ${megabytes(bytes)} are needed, ${megabytes(bavail * bsize)} are free; nothing was changed`,
    );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Writes the pieces one after the other into a new file and waits until they are on the disk. */
export async function writePieces(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (const piece of pieces)
      for (let done = 0; done < piece.length; )
        done += (await file.write(piece, done, piece.length - done)).bytesWritten;
    await file.sync();
  } finally {
    await file.close();
  }
}

export const writeText = (path: string, text: string): Promise<void> =>
  writePieces(path, [new TextEncoder().encode(text)]);

/** Puts `fresh` in the place of `target`; the old folder returns when that fails. */
async function swap(fresh: string, target: string, aside: string): Promise<void> {
  const isReplacing = await rename(target, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  try {
    await rename(fresh, target);
  } catch (error) {
    if (isReplacing) await rename(aside, target);
    throw error;
  }
  if (isReplacing) await rm(aside, { recursive: true, force: true });
}
