/**
 * The folder of a training run (Node): what may be in it at the start, who is at work in it, its checkpoints, its
 * metrics (metrics.jsonl, tensorboard/) and its samples (samples.jsonl).
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { HostArray } from "../graph/index.ts";
import { loadModel, type Model } from "../models/load.ts";
import {
  listCheckpoints,
  newestWhole,
  readTrainer,
  type SavedCheckpoint,
  saveCheckpoint,
  tidyRun,
} from "./checkpoints.ts";
import { RunError, writeError } from "./errors.ts";
import { lockFolder } from "./lock.ts";
import { makeFolder } from "./make-folder.ts";
import { openStepLines } from "./step-lines.ts";
import { openEvents } from "./tensorboard.ts";

/** What must be the same when a run goes on. */
export type Fingerprint = Readonly<Record<string, string | number | boolean>>;

export type Metrics = Readonly<Record<string, number>>;

/** The models that a run trains. */
export interface RunModels {
  readonly model: Model;
  readonly critic?: Model;
}

/** What a run goes on from. */
export interface Snapshot<T> {
  readonly models: RunModels;
  /** Anything that is JSON: the place in the data, counters, the best so far. */
  readonly state: T;
  /** Of the optimisers, say. */
  readonly arrays: Readonly<Record<string, HostArray>>;
}

/** A checkpoint as it is read again; a model is loaded when it is asked for. */
export interface Resumed<T> {
  readonly step: number;
  readonly state: T;
  readonly arrays: Record<string, HostArray>;
  model(name?: keyof RunModels): Promise<Model>;
  /** To be said: a newer checkpoint is damaged. */
  readonly note?: string;
}

/** A response of the model while it trains. */
export interface Sample {
  readonly prompt: string;
  readonly completion: string;
  readonly score?: number;
  readonly [column: string]: unknown;
}

export interface RunFolder<T> {
  readonly dir: string;
  /**
   * The newest whole checkpoint, when the run is to be resumed and has one; what was logged after it is taken out.
   *
   * @throws RunError when the run was started with other settings, or every checkpoint is damaged; the folder is closed
   */
  resume(fingerprint: Fingerprint): Promise<Resumed<T> | undefined>;
  /** Writes a checkpoint, atomically; all but the newest `saveTotalLimit` go. */
  save(step: number, snapshot: Snapshot<T>, fingerprint: Fingerprint): Promise<void>;
  log(step: number, metrics: Metrics): Promise<void>;
  sample(step: number, rows: readonly Sample[]): Promise<void>;
  /** A phrase about the last checkpoint. */
  lastCheckpoint(): string;
  /** Lets other runs in. */
  close(): Promise<void>;
}

export interface RunFolderOptions {
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  /** Checkpoints that are kept. */
  readonly saveTotalLimit?: number;
}

interface Stored<T> {
  readonly step: number;
  readonly loop: T;
  readonly fingerprint: Fingerprint;
}

/** What a run writes, and what an evaluation of it adds; nothing else is ever removed. */
const ownNames = [
  "model",
  "critic",
  "best",
  "last",
  "checkpoints",
  "metrics.jsonl",
  "samples.jsonl",
  "monitor.jsonl",
  "tensorboard",
  "evaluation.json",
  "responses.jsonl",
];

/** Says that a stage has begun; it may be there before the run. */
const announced = "stage.json";

/**
 * Opens the folder of a run.
 *
 * @throws RunError when it holds something and is neither resumed nor to be overwritten, when another run is at work in
 * it, or when it cannot be written
 */
export async function openRun<T>(
  dir: string,
  { resume = false, overwrite = false, saveTotalLimit: keep = 2 }: RunFolderOptions = {},
): Promise<RunFolder<T>> {
  await makeFolder(dir);
  const unlock = await lockFolder(dir);
  try {
    if (!resume) await clear(dir, overwrite);
    await tidyRun(dir);
  } catch (error) {
    await unlock();
    throw writeError(error, dir, "choose another folder");
  }

  let last = resume ? (await listCheckpoints(dir)).at(-1)?.dir : undefined;
  let begun = 0;
  const lastCheckpoint = () => (last ? `the last checkpoint is ${last}` : "there is no checkpoint yet");
  /** A file that is opened when it is first needed; what was written to it after step `begun` goes then. */
  const opened = <F>(name: string, open: (path: string, after: number) => Promise<F>) => {
    let file: Promise<F> | undefined;
    return async (use?: (file: F) => Promise<void>) => {
      try {
        file ??= open(join(dir, name), begun);
        await use?.(await file);
      } catch (error) {
        throw writeError(error, join(dir, name), `training stops; ${lastCheckpoint()}`);
      }
    };
  };
  const metricsFile = opened("metrics.jsonl", openStepLines);
  const samplesFile = opened("samples.jsonl", openStepLines);
  const eventsFile = opened("tensorboard", (path, after) => openEvents(path, after));

  return {
    dir,
    async resume(fingerprint) {
      if (!resume) return undefined;
      try {
        const found = await newestWhole(dir);
        if (!found) return undefined;
        const read = await reopen<T>(found.checkpoint, fingerprint);
        last = found.checkpoint.dir;
        begun = read.step;
        await metricsFile();
        await samplesFile();
        return { ...read, ...(found.note !== undefined && { note: found.note }) };
      } catch (error) {
        await unlock();
        throw error;
      }
    },
    async save(step, { models, state, arrays }, fingerprint) {
      const stored: Stored<T> = { step, loop: state, fingerprint };
      last = await saveCheckpoint(dir, step, { models: { ...models }, state: stored, arrays }, { keep });
    },
    async log(step, metrics) {
      await metricsFile((file) => file.write([{ step, ...metrics }]));
      await eventsFile((file) => file.write(step, metrics));
    },
    sample: (step, rows) => samplesFile((file) => file.write(rows.map((row) => ({ step, ...row })))),
    lastCheckpoint,
    close: unlock,
  };
}

/** Refuses a folder that is not empty, or removes the run that is in it. */
async function clear(dir: string, overwrite: boolean): Promise<void> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith(".") && name !== announced);
  if (names.length === 0) return;
  if (!overwrite || !names.some((name) => ownNames.includes(name)))
    throw new RunError(
      `${dir}: the folder is not empty; choose another` +
        (names.includes("checkpoints") ? ", go on with --resume, or replace the run with --overwrite" : ""),
    );
  for (const name of ownNames) await rm(join(dir, name), { recursive: true, force: true });
}

async function reopen<T>(
  { dir }: SavedCheckpoint,
  fingerprint: Fingerprint,
): Promise<Omit<Resumed<T>, "note">> {
  const { state, arrays } = await readTrainer<Stored<T>>(dir);
  const differing = Object.keys(fingerprint).filter((key) => fingerprint[key] !== state.fingerprint[key]);
  if (differing.length > 0)
    throw new RunError(
      `${dir}: the run was started with other settings (${differing
        .map((key) =>
          key === "data"
            ? "data: not the same"
            : `${key}: ${state.fingerprint[key]}, now ${fingerprint[key]}`,
        )
        .join("; ")}); resume with the same ones, or start anew with --overwrite`,
    );
  return {
    step: state.step,
    state: state.loop,
    arrays,
    model: (name = "model") => loadModel(join(dir, name)),
  };
}
