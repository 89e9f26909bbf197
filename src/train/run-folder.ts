/** The folder of a training run: what may be in it at the start, its metrics and its checkpoints. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { HostArray } from "../graph/index.ts";
import { loadModel, type Model } from "../models/load.ts";
import { listCheckpoints, readTrainer, saveCheckpoint } from "../runs/checkpoints.ts";
import { type MetricsFile, openMetrics } from "../runs/metrics.ts";
import { TrainError } from "./errors.ts";

/** What must be the same when a run goes on. */
export type Fingerprint = Readonly<Record<string, string | number | boolean>>;

interface Stored<T> {
  readonly loop: T;
  readonly fingerprint: Fingerprint;
}

export interface RunFolder<T> {
  readonly dir: string;
  /** The newest checkpoint when the run is to be resumed. */
  resume(
    fingerprint: Fingerprint,
  ): Promise<{ state: T; optimizer: Record<string, HostArray>; model: Model } | undefined>;
  save(model: Model, state: T, optimizer: Record<string, HostArray>, fingerprint: Fingerprint): Promise<void>;
  log(step: number, metrics: Readonly<Record<string, number>>): Promise<void>;
  /** A phrase about the last checkpoint. */
  lastCheckpoint(): string;
}

export interface RunFolderOptions {
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly saveTotalLimit?: number;
}

const ownNames = ["model", "best", "checkpoints", "metrics.jsonl"];

/**
 * Opens the folder of a run.
 *
 * @throws TrainError when it holds something and is neither resumed nor to be overwritten
 */
export async function openRun<T extends { step: number }>(
  dir: string,
  { resume = false, overwrite = false, saveTotalLimit: keep = 2 }: RunFolderOptions = {},
): Promise<RunFolder<T>> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new TrainError(`${dir}: the folder of a run is required: ${error.message}`, { cause: error });
  });
  if (!resume && names.some((name) => !name.startsWith("."))) {
    if (!overwrite || !names.some((name) => ownNames.includes(name)))
      throw new TrainError(
        `${dir}: the folder is not empty; choose another` +
          (names.includes("checkpoints") ? ", go on with --resume, or replace the run with --overwrite" : ""),
      );
    for (const name of ownNames) await rm(join(dir, name), { recursive: true, force: true });
  }
  await mkdir(dir, { recursive: true });
  let metrics: MetricsFile | undefined;
  let last = resume ? (await listCheckpoints(dir)).at(-1)?.dir : undefined;
  return {
    dir,
    async resume(fingerprint) {
      if (!resume) return undefined;
      if (!last) return undefined;
      const { state, arrays } = await readTrainer<Stored<T>>(last);
      const differing = Object.keys(fingerprint).filter((key) => fingerprint[key] !== state.fingerprint[key]);
      if (differing.length > 0)
        throw new TrainError(
          `${last}: the run was started with other settings (${differing
            .map((key) =>
              key === "data"
                ? "data: not the same"
                : `${key}: ${state.fingerprint[key]}, now ${fingerprint[key]}`,
            )
            .join("; ")}); resume with the same ones, or start anew with --overwrite`,
        );
      metrics = await openMetrics(join(dir, "metrics.jsonl"), state.loop.step);
      return { state: state.loop, optimizer: arrays, model: await loadModel(join(last, "model")) };
    },
    async save(model, state, optimizer, fingerprint) {
      const stored: Stored<T> = { loop: state, fingerprint };
      last = await saveCheckpoint(dir, state.step, model, { state: stored, arrays: optimizer }, { keep });
    },
    async log(step, values) {
      metrics ??= await openMetrics(join(dir, "metrics.jsonl"), 0);
      await metrics.write({ step, ...values });
    },
    lastCheckpoint: () => (last ? `the last checkpoint is ${last}` : "there is no checkpoint yet"),
  };
}
