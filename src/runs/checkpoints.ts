/**
 * The checkpoints of a run (Node): `checkpoints/<step>/` with `model` (and `critic`, ...) in the Hugging Face layout,
 * `trainer` with the optimiser's arrays and the place in the data, and `manifest.json` with size and SHA-256 of each.
 *
 * A checkpoint is written beside its place, brought to the disk, and renamed when it is complete; what a disk or a
 * copy did to it afterwards shows against the manifest.
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { HostArray } from "../graph/index.ts";
import { readTensors } from "../models/checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../models/checkpoint/safetensors.ts";
import { CheckpointError } from "../models/errors.ts";
import { writePieces, writeText } from "../models/folder-write.ts";
import type { Model } from "../models/load.ts";
import { RunError, writeError } from "./errors.ts";
import { makeFolder } from "./make-folder.ts";
import { readManifest, writeManifest } from "./manifest.ts";

/** What a run goes on from. */
export interface CheckpointContents<T> {
  /** By the name of their folder: `model`, and what else is trained: `critic`. */
  readonly models: Readonly<Record<string, Model | undefined>>;
  /** Anything that is JSON. */
  readonly state: T;
  readonly arrays: Readonly<Record<string, HostArray>>;
}

export interface SavedCheckpoint {
  readonly step: number;
  readonly dir: string;
}

const folder = (run: string) => join(run, "checkpoints");

/**
 * Writes a checkpoint and removes all but the newest `keep`.
 *
 * @returns its folder
 * @throws RunError when the disk is full or the folder cannot be written; earlier checkpoints are as they were
 */
export async function saveCheckpoint<T>(
  run: string,
  step: number,
  { models, state, arrays }: CheckpointContents<T>,
  { keep = 2 }: { keep?: number } = {},
): Promise<string> {
  const final = join(folder(run), String(step));
  const fresh = join(folder(run), `.${step}.new`);
  const aside = join(folder(run), `.${step}.old`);
  try {
    await makeFolder(folder(run));
    for (const path of [fresh, aside]) await rm(path, { recursive: true, force: true });
    await mkdir(fresh);
    for (const [name, model] of Object.entries(models)) await model?.save(join(fresh, name));
    await mkdir(join(fresh, "trainer"));
    await writePieces(join(fresh, "trainer", "arrays.safetensors"), encodeSafetensors(arrays));
    await writeText(join(fresh, "trainer", "state.json"), `${JSON.stringify(state, null, 2)}\n`);
    await writeManifest(fresh);
    await rename(final, aside).catch(ignoreAbsent);
    await rename(fresh, final);
    await syncFolder(folder(run));
    await rm(aside, { recursive: true, force: true });
  } catch (error) {
    await rm(fresh, { recursive: true, force: true }).catch(() => {});
    throw writeError(inPlaceOf(error, final), final, kept);
  }
  for (const { dir } of (await listCheckpoints(run)).slice(0, -Math.max(1, keep)))
    await rm(dir, { recursive: true, force: true });
  return final;
}

const kept = "the checkpoint was not written, earlier ones are as they were";

/** What a model says of the folder that it could not be written to, said of the checkpoint. */
const inPlaceOf = (error: unknown, final: string): unknown =>
  error instanceof CheckpointError && error.cause === undefined
    ? new RunError(`${final}: ${error.message.replace(/^[^:]*: |; nothing was changed$/g, "")}; ${kept}`, {
        cause: error,
      })
    : error;

const ignoreAbsent = (error: NodeJS.ErrnoException): void => {
  if (error.code !== "ENOENT") throw error;
};

/** Brings the names in a folder to the disk, where the system can do that. */
async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/**
 * Brings back what a process left that was killed between two renames, and removes what it had half written: of
 * checkpoints, and of the models beside them (see models/folder-write.ts for their names).
 */
export async function tidyRun(run: string): Promise<void> {
  await tidyFolder(folder(run), /^[.](?<name>\d+)[.](?<kind>new|old)$/);
  await tidyFolder(run, /^[.](?<name>model|critic|best)[.](?<kind>new|old)-[\w-]+$/);
}

async function tidyFolder(dir: string, leftover: RegExp): Promise<void> {
  const names = await readdir(dir).catch((): string[] => []);
  for (const found of names) {
    const { name, kind } = leftover.exec(found)?.groups ?? {};
    if (name === undefined) continue;
    const isLost = kind === "old" && !names.includes(name);
    if (isLost) await rename(join(dir, found), join(dir, name));
    else await rm(join(dir, found), { recursive: true, force: true });
  }
}

/** The checkpoints of a run, the oldest first. */
export async function listCheckpoints(run: string): Promise<SavedCheckpoint[]> {
  const names = await readdir(folder(run)).catch((): string[] => []);
  return names
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ step: Number(name), dir: join(folder(run), name) }))
    .sort((a, b) => a.step - b.step);
}

/**
 * The newest checkpoint that is whole, and what is wrong with newer ones.
 *
 * @throws RunError when there are checkpoints and all of them are damaged
 */
export async function newestWhole(
  run: string,
): Promise<{ checkpoint: SavedCheckpoint; note?: string } | undefined> {
  const damages: string[] = [];
  for (const checkpoint of (await listCheckpoints(run)).reverse()) {
    const damage = await readManifest(checkpoint.dir);
    if (damage === undefined)
      return {
        checkpoint,
        ...(damages.length > 0 && {
          note: `${damages.join("; ")}; going on from the checkpoint before, ${checkpoint.dir}`,
        }),
      };
    damages.push(`${checkpoint.dir} is damaged (${damage})`);
  }
  if (damages.length === 0) return undefined;
  throw new RunError(`${damages.join("; ")}: no checkpoint is whole; start anew with --overwrite`);
}

/**
 * The trainer's side of a checkpoint.
 *
 * @throws RunError when it cannot be read
 */
export async function readTrainer<T>(dir: string): Promise<{ state: T; arrays: Record<string, HostArray> }> {
  const path = join(dir, "trainer", "state.json");
  let state: T;
  try {
    state = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new RunError(`${path}: the checkpoint cannot be read: ${(cause as Error).message}`, { cause });
  }
  return { state, arrays: await readTensors(join(dir, "trainer", "arrays.safetensors")) };
}
