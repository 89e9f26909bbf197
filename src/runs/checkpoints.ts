/**
 * The checkpoints of a run (Node): `checkpoints/<step>/model` in the Hugging Face layout and
 * `checkpoints/<step>/trainer` with the optimiser's state and the place in the data.
 *
 * A checkpoint is written beside its place and renamed when it is complete, so one that is there is whole.
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AttuneError } from "../graph/errors.ts";
import type { HostArray } from "../graph/index.ts";
import { readTensors } from "../models/checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../models/checkpoint/safetensors.ts";
import type { Model } from "../models/load.ts";

/** What a trainer needs to go on: anything that is JSON, and its arrays. */
export interface TrainerState<T> {
  readonly state: T;
  readonly arrays: Readonly<Record<string, HostArray>>;
}

export interface SavedCheckpoint {
  readonly step: number;
  readonly dir: string;
}

const folder = (run: string) => join(run, "checkpoints");

/** Writes a checkpoint and removes all but the newest `keep`. */
export async function saveCheckpoint<T>(
  run: string,
  step: number,
  model: Model,
  trainer: TrainerState<T>,
  { keep = 2 }: { keep?: number } = {},
): Promise<string> {
  const final = join(folder(run), String(step));
  const fresh = join(folder(run), `.${step}.new`);
  await rm(fresh, { recursive: true, force: true });
  try {
    await model.save(join(fresh, "model"));
    await mkdir(join(fresh, "trainer"));
    await writeWhole(join(fresh, "trainer", "arrays.safetensors"), encodeSafetensors(trainer.arrays));
    await writeWhole(join(fresh, "trainer", "state.json"), [
      new TextEncoder().encode(`${JSON.stringify(trainer.state, null, 2)}\n`),
    ]);
    await rm(final, { recursive: true, force: true });
    await rename(fresh, final);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
  const old = (await listCheckpoints(run)).slice(0, -keep);
  for (const { dir } of old) await rm(dir, { recursive: true, force: true });
  return final;
}

async function writeWhole(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (const piece of pieces) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The complete checkpoints of a run, the oldest first. */
export async function listCheckpoints(run: string): Promise<SavedCheckpoint[]> {
  const names = await readdir(folder(run)).catch((): string[] => []);
  return names
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ step: Number(name), dir: join(folder(run), name) }))
    .sort((a, b) => a.step - b.step);
}

/**
 * The trainer's side of a checkpoint.
 *
 * @throws AttuneError when it is missing or damaged
 */
export async function readTrainer<T>(dir: string): Promise<TrainerState<T>> {
  const path = join(dir, "trainer", "state.json");
  let state: T;
  try {
    state = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new AttuneError(`${path}: the checkpoint cannot be read: ${(cause as Error).message}`, { cause });
  }
  return { state, arrays: await readTensors(join(dir, "trainer", "arrays.safetensors")) };
}
