/** A stage's first steps, made for real, to know what the rest will take; what it leaves is left for later stages. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Preflight } from "../../data/preflight.ts";
import type { Model } from "../../models/load.ts";
import { writeEnsemble } from "../../reward/ensemble/node-folder.ts";
import type { StageContext, StageKeys, StageKind, StageStart } from "../stage.ts";
import type { MemoryMeter } from "./meter.ts";
import { type Timing, timesEvery, timingOf } from "./timing.ts";

/** Steps of a probe at least, and evaluations after every so many of them. */
const leastSteps = 5;
const evalEvery = 3;
/** Rows of a stage that makes rows, in its batches. */
const rowBatches = 3;
/** And rows of one that only makes them for later stages. */
const fewRows = 32;

export interface Probe {
  /** Whether steps are made; without, a stage is only prepared. */
  readonly steps: boolean;
  /** Seconds that the steps of a stage may take, once there are enough. */
  readonly budget: number;
  readonly meter: MemoryMeter;
}

export interface StageProbe {
  readonly steps: number;
  readonly preflight?: Preflight;
  readonly model?: Model;
  /** Of stages that train: bytes of the largest step, by the formula, and of the process before it. */
  readonly formula?: { readonly step: number; readonly before: number };
  /** The most that the process had, in bytes. */
  readonly peak: number;
  readonly timing?: Timing;
}

class Enough extends Error {}

type Context = Omit<StageContext, "onStart" | "onStep" | "signal" | "resume" | "overwrite">;

/** How many models a stage trains one after the other; their steps are alike. */
const membersOf = ({ members, shared_backbone }: StageKeys): number =>
  typeof members === "number" && shared_backbone !== true ? members : 1;

/** Runs a stage for a few steps. */
export async function probeStage(
  kind: StageKind,
  keys: StageKeys,
  context: Context,
  signal: AbortSignal,
  probe: Probe,
): Promise<StageProbe> {
  await mkdir(context.dir, { recursive: true });
  probe.meter.reset();
  return kind.limit === undefined
    ? probeTraining(kind, keys, context, signal, probe)
    : probeRows(kind, kind.limit, keys, context, signal, probe);
}

const now = (): number => performance.now() / 1000;

async function probeTraining(
  kind: StageKind,
  keys: StageKeys,
  context: Context,
  signal: AbortSignal,
  { steps: isStepping, budget, meter }: Probe,
): Promise<StageProbe> {
  const members = membersOf(keys);
  const evaluates = keys.eval_data !== undefined && "eval_steps" in kind.keys.shape;
  const given: StageKeys = {
    ...keys,
    ...(members > 1 && { members: 1 }),
    ...(evaluates && { eval_steps: evalEvery }),
    ...("save_steps" in kind.keys.shape && { save_steps: Number.MAX_SAFE_INTEGER }),
  };
  const enough = new AbortController();
  const marks: { step: number; at: number }[] = [];
  let start: StageStart | undefined;
  let formula: StageProbe["formula"];
  const began = now();
  const result = await kind.run(given, {
    ...context,
    signal: AbortSignal.any([signal, enough.signal]),
    resume: false,
    overwrite: true,
    onMemory: (step) => {
      formula = { step, before: process.memoryUsage.rss() };
    },
    onStart: (told) => {
      start = told;
      if (!isStepping) enough.abort();
    },
    onStep: ({ step }) => {
      const at = now();
      marks.push({ step, at });
      if (step >= leastSteps && at - (marks[0]?.at as number) >= budget) enough.abort();
    },
  });
  const ended = now();
  const { model } = result;
  if (model && kind.leavesModel) await leave(context.dir, model, members);
  const { totalSteps = 0, preflight } = start ?? {};
  const steps = members * totalSteps;
  const tenth = Math.max(1, Math.ceil(totalSteps / 10));
  const every = (key: string) => members * timesEvery(totalSteps, (keys[key] as number | undefined) ?? tenth);
  const timing = timingOf(
    { began, steps: marks, ended, evalEvery: evaluates ? evalEvery : undefined },
    { steps, evaluations: evaluates ? every("eval_steps") : 0, saves: every("save_steps") + members },
  );
  return {
    steps,
    peak: meter.peak(),
    ...(preflight && { preflight }),
    ...(model && { model }),
    ...(formula && { formula }),
    ...(timing && { timing }),
  };
}

/** The model where later stages look for it; an ensemble as so many of the same. */
async function leave(dir: string, model: Model, members: number): Promise<void> {
  if (members === 1) return model.save(join(dir, "model"));
  const paths = Array.from({ length: members }, (_, i) => `members/${i + 1}`);
  for (const path of paths) await model.save(join(dir, path, "model"));
  await writeEnsemble(dir, { members: paths });
}

/** A stage that makes rows is asked for a few, and these are repeated until there are as many as there will be. */
async function probeRows(
  kind: StageKind,
  limit: string,
  keys: StageKeys,
  context: Context,
  signal: AbortSignal,
  { steps: isStepping, meter }: Probe,
): Promise<StageProbe> {
  const still = { ...context, signal, resume: false, overwrite: true, onStep: () => {} };
  let total = 0;
  const asked = kind.run(keys, {
    ...still,
    onStart: ({ totalSteps }) => {
      total = totalSteps;
      throw new Enough();
    },
  });
  await asked.catch((error: unknown) => {
    if (!(error instanceof Enough)) throw error;
  });
  const batch = (keys.batch_size as number | undefined) ?? 64;
  const few = Math.min(total, isStepping ? rowBatches * batch : fewRows);
  const marks: { step: number; at: number }[] = [];
  const began = now();
  await kind.run(
    // Responses of a model that is not trained yet end by chance.
    { ...keys, [limit]: few, ...("terminated_only" in kind.keys.shape && { terminated_only: false }) },
    { ...still, onStart: () => {}, onStep: ({ step }) => void marks.push({ step, at: now() }) },
  );
  const ended = now();
  const path = join(context.dir, kind.rows ?? "pairs.jsonl");
  const rows = (await readFile(path, "utf8")).trimEnd().split("\n");
  const expected = Math.max(1, Math.round((rows.length * total) / few));
  const repeated = Array.from({ length: expected }, (_, i) => rows[i % rows.length]);
  await writeFile(path, `${repeated.join("\n")}\n`);
  const timing = isStepping
    ? timingOf({ began, steps: marks, ended }, { steps: total, evaluations: 0, saves: 1 })
    : undefined;
  return { steps: total, peak: meter.peak(), ...(timing && { timing }) };
}
