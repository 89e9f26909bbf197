/** What a run finds again: after its end, after a crash at any write, after damage to any file. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type HostArray, hostArray } from "../graph/index.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, type Model, withParameters } from "../models/load.ts";
import { listCheckpoints } from "./checkpoints.ts";
import { RunError } from "./errors.ts";
import { openRun, type RunFolder, type RunFolderOptions } from "./run-folder.ts";

/** The disk: how many writes it still does, and what it says afterwards. */
const disk = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY, code: "EIO", writes: 0 }));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const guarded =
    <A extends unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (disk.left-- <= 0) throw Object.assign(new Error(`${disk.code}: test`), { code: disk.code });
      disk.writes++;
      return write(...args);
    };
  return {
    ...real,
    writeFile: guarded(real.writeFile),
    appendFile: guarded(real.appendFile),
    mkdir: guarded(real.mkdir),
    rename: guarded(real.rename),
    rm: guarded(real.rm),
    open: async (...args: Parameters<typeof real.open>) => {
      const file = await real.open(...args);
      if (args[1] === "r" || args[1] === undefined) return file;
      const write = file.write.bind(file) as (...a: unknown[]) => Promise<unknown>;
      file.write = guarded(write) as typeof file.write;
      file.sync = guarded(async () => {}); // what reached the disk is not what is tested, and it takes its time
      return file;
    },
  };
});

let folder: string;
let dir: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-runs-"));
});
beforeEach(() => {
  Object.assign(disk, { left: Number.POSITIVE_INFINITY, code: "EIO", writes: 0 });
  dir = join(folder, `run-${count++}`);
});
afterAll(async () => {
  disk.left = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true, force: true });
});

interface State {
  seen: number;
}
const shape = configOf("llama", {
  vocabSize: 8,
  hiddenSize: 4,
  numLayers: 1,
  numHeads: 1,
  maxPositions: 8,
});
const model = createModel(shape, 1);
const fingerprint = { seed: 7, data: "abc" };

/** The model of a step: every weight is the step. */
const modelAt = (step: number): Model =>
  withParameters(
    model,
    Object.fromEntries(
      Object.entries(model.parameters).map(([name, { shape: size, data }]) => [
        name,
        hostArray("float32", size, new Float32Array(data.length).fill(step)),
      ]),
    ),
  );
const valueIn = ({ parameters }: { parameters: Readonly<Record<string, HostArray>> }) =>
  Object.values(parameters)[0]?.data[0];

const open = (options: RunFolderOptions = {}) => openRun<State>(dir, options);
const save = (run: RunFolder<State>, step: number) =>
  run.save(
    step,
    {
      models: { model: modelAt(step), critic: modelAt(-step) },
      state: { seen: step * 10 },
      arrays: { momentum: hostArray("float32", [2], [step, 0.1]) },
    },
    fingerprint,
  );

/** A run with checkpoints at the steps 1 and 2. */
async function runOfTwo(): Promise<void> {
  const run = await open();
  for (const step of [1, 2]) {
    await run.log(step, { loss: 1 / step });
    await save(run, step);
  }
  await run.close();
}

/** Resumes, and holds that everything of the checkpoint is of the same step. */
async function resumed(): Promise<{ step: number; note?: string }> {
  const run = await open({ resume: true });
  try {
    const from = await run.resume(fingerprint);
    if (!from) return { step: 0 };
    expect(from.state).toEqual({ seen: from.step * 10 });
    expect(from.arrays.momentum?.data).toEqual(Float32Array.of(from.step, 0.1));
    expect(valueIn(await from.model())).toBe(from.step);
    expect(valueIn(await from.model("critic"))).toBe(-from.step);
    return { step: from.step, ...(from.note !== undefined && { note: from.note }) };
  } finally {
    await run.close();
  }
}

describe("a run folder", () => {
  it("gives the newest checkpoint back: models, state, arrays", async () => {
    await runOfTwo();
    expect(await resumed()).toEqual({ step: 2 });
  });

  it("keeps only so many checkpoints, the newest", async () => {
    const run = await open({ saveTotalLimit: 3 });
    for (const step of [9, 10, 11, 100]) await save(run, step);
    expect((await listCheckpoints(dir)).map(({ step }) => step)).toEqual([10, 11, 100]);
    expect(run.lastCheckpoint()).toContain(join("checkpoints", "100"));
    await run.close();
  });

  it("takes out what was logged and sampled after the checkpoint, also half a line", async () => {
    const run = await open();
    await run.log(1, { loss: 4 });
    await run.sample(1, [{ prompt: "p", completion: "first", score: 0.5 }]);
    await save(run, 1);
    await run.log(2, { loss: 3 });
    await run.sample(2, [{ prompt: "p", completion: "second" }]);
    await run.close();
    await writeFile(join(dir, "metrics.jsonl"), `${await readFile(join(dir, "metrics.jsonl"), "utf8")}{"st`);
    const again = await open({ resume: true });
    await again.resume(fingerprint);
    await again.log(2, { loss: 2 });
    await again.close();
    expect(await readFile(join(dir, "metrics.jsonl"), "utf8")).toBe(
      '{"step":1,"loss":4}\n{"step":2,"loss":2}\n',
    );
    expect(await readFile(join(dir, "samples.jsonl"), "utf8")).toBe(
      '{"step":1,"prompt":"p","completion":"first","score":0.5}\n',
    );
    expect(await readdir(join(dir, "tensorboard"))).toHaveLength(2);
  });

  it("is not resumed with other settings, and names them", async () => {
    await runOfTwo();
    const run = await open({ resume: true });
    await expect(run.resume({ seed: 8, data: "abd" })).rejects.toThrow(
      /other settings \(seed: 7, now 8; data: not the same\)/,
    );
    await (await open({ resume: true })).close(); // the refusal has closed the folder
  });

  it("that is not empty is refused, or replaced when it is a run; a stage.json may lie there before", async () => {
    await mkdir(dir);
    await writeFile(join(dir, "stage.json"), "{}");
    await (await open()).close();
    await runOfTwo();
    await expect(open()).rejects.toThrow(/not empty; choose another, go on with --resume, .*--overwrite/);
    await writeFile(join(dir, "notes.txt"), "mine");
    await (await open({ overwrite: true })).close();
    expect((await readdir(dir)).sort()).toEqual(["notes.txt", "stage.json"]);
    await expect(open({ overwrite: true })).rejects.toThrow(/not empty; choose another$/);
  });

  it("lets one run in at a time", async () => {
    const run = await open();
    await expect(open({ resume: true })).rejects.toThrow(/another run is at work/);
    await run.close();
  });
});

describe("a checkpoint that is damaged", () => {
  it("in any file, by a cut, a changed byte or its loss, gives way to the one before, and that is said", async () => {
    await runOfTwo();
    const newest = join(dir, "checkpoints", "2");
    const whole = join(folder, "whole");
    await cp(newest, whole, { recursive: true });
    const entries = await readdir(newest, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((e) => e.isFile())
      .map((e) => relative(newest, join(e.parentPath ?? e.path, e.name)));
    expect(files.sort()).toEqual([
      join("critic", "config.json"),
      join("critic", "model.safetensors"),
      "manifest.json",
      join("model", "config.json"),
      join("model", "model.safetensors"),
      join("trainer", "arrays.safetensors"),
      join("trainer", "state.json"),
    ]);
    const damages: Record<string, (path: string) => Promise<void>> = {
      cut: async (path) => truncate(path, Math.floor((await stat(path)).size / 2)),
      changed: async (path) => {
        const bytes = await readFile(path);
        const middle = bytes.length >> 1;
        bytes[middle] = (bytes[middle] as number) ^ 1;
        await writeFile(path, bytes);
      },
      gone: (path) => rm(path),
    };
    for (const file of files)
      for (const [name, damage] of Object.entries(damages)) {
        if (file === "manifest.json" && name === "changed") continue; // a byte of a hash: another file seems changed
        await damage(join(newest, file));
        const { step, note } = await resumed();
        expect([file, name, step]).toEqual([file, name, 1]);
        expect(note).toContain(`2 is damaged (${file.replaceAll("\\", "/")} `);
        expect(note).toMatch(/^[^\n]*going on from the checkpoint before[^\n]*$/);
        await rm(newest, { recursive: true });
        await cp(whole, newest, { recursive: true });
      }
    expect(await resumed()).toEqual({ step: 2 });
  });

  it("like all others is one clear error", async () => {
    await runOfTwo();
    for (const step of ["1", "2"]) await rm(join(dir, "checkpoints", step, "trainer", "state.json"));
    await expect(resumed()).rejects.toThrow(
      /2 is damaged .*1 is damaged .*no checkpoint is whole; .*--overwrite$/,
    );
  });
});

describe("a crash", () => {
  it("at any write of a checkpoint leaves a run that can be resumed, at this checkpoint or the one before", {
    timeout: 90_000,
  }, async () => {
    const start = join(folder, "start");
    const crashAt = async (left: number, step: number) => {
      await rm(dir, { recursive: true, force: true });
      await cp(start, dir, { recursive: true });
      const run = await open({ resume: true });
      Object.assign(disk, { left, writes: 0 });
      const saved = await save(run, step).then(
        () => true,
        () => false,
      );
      disk.left = Number.POSITIVE_INFINITY;
      await run.close();
      return { saved, found: (await resumed()).step };
    };
    let writes = 0; // of a whole checkpoint
    for (const { before, step, skipped } of [
      { before: [1, 2], step: 3, skipped: () => 0 },
      // over itself, since it was damaged, say: only the last writes differ
      { before: [1], step: 1, skipped: () => writes - 10 },
    ]) {
      await rm(start, { recursive: true, force: true });
      const run = await openRun<State>(start);
      for (const earlier of before) await save(run, earlier);
      await run.close();
      const seen = new Set<number>();
      for (let left = skipped(); ; left++) {
        const { saved, found } = await crashAt(left, step);
        expect([before.at(-1), step]).toContain(found);
        seen.add(found);
        if (saved) {
          expect(found).toBe(step);
          expect(left).toBeGreaterThan(15);
          writes = left;
          break;
        }
      }
      expect(seen.size).toBe(new Set([before.at(-1), step]).size);
    }
  });

  it("leaves nothing behind that the next run would not clear away", async () => {
    await runOfTwo();
    await mkdir(join(dir, "checkpoints", ".3.new", "model"), { recursive: true });
    // killed while the best model was replaced: the old one is aside, the new one not yet in its place
    for (const name of [".best.old-77-abc", ".best.new-77-abc"]) await mkdir(join(dir, name));
    await writeFile(join(dir, ".best.old-77-abc", "config.json"), "old");
    await resumed();
    expect(await readdir(join(dir, "checkpoints"))).toEqual(["1", "2"]);
    expect((await readdir(dir)).sort()).toEqual(["best", "checkpoints", "metrics.jsonl", "tensorboard"]);
    expect(await readdir(join(dir, "best"))).toEqual(["config.json"]);
  });
});

describe("what cannot be written", () => {
  it.each([
    ["ENOSPC", /checkpoints\/3: the disk is full; .*earlier ones are as they were$/],
    ["EACCES", /checkpoints\/3: the folder cannot be written: permission denied; /],
    ["EROFS", /the file system is read-only/],
  ])("a checkpoint, %s: one line, and earlier results are there", async (code, message) => {
    await runOfTwo();
    const run = await open({ resume: true });
    await run.resume(fingerprint);
    for (const left of [0, 3, 8, 12]) {
      Object.assign(disk, { left, code });
      const attempt = save(run, 3);
      await expect(attempt).rejects.toThrow(message);
      await expect(attempt).rejects.toThrow(/^[^\n]*$/);
      disk.left = Number.POSITIVE_INFINITY;
    }
    await run.close();
    expect((await resumed()).step).toBe(2);
  });

  it("metrics: the message says where the last checkpoint is", async () => {
    const run = await open();
    await save(run, 5);
    Object.assign(disk, { left: 0, code: "ENOSPC" });
    await expect(run.log(6, { loss: 1 })).rejects.toThrow(
      /metrics.jsonl: the disk is full; training stops; the last checkpoint is .*5$/,
    );
    disk.left = Number.POSITIVE_INFINITY;
    await run.close();
  });

  it("a folder where none can be: an error at once, not a program that hangs", async () => {
    await writeFile(join(folder, "file"), "");
    for (const place of ["/proc/attune/run", join(folder, "file", "run"), join(folder, "file")])
      await expect(openRun(place)).rejects.toThrow(RunError);
  });
});
