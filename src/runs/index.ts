/**
 * Run folders: checkpoints that survive a crash, exact resume, metrics, samples, and the report of it all.
 *
 * @example
 * import { hostArray } from "attune/graph";
 * import { loadModel } from "attune/models";
 * import { openRun, writeReport } from "attune/runs";
 *
 * const model = await loadModel("my-model");
 * const run = await openRun<{ seen: number }>("my-run", { overwrite: true });
 * await run.log(1, { loss: 2.5 });
 * await run.save(1, { models: { model }, state: { seen: 32 }, arrays: { momentum: hostArray("float32", [2], [0, 1]) } }, { seed: 0 });
 * await run.close();
 *
 * const again = await openRun<{ seen: number }>("my-run", { resume: true });
 * const from = await again.resume({ seed: 0 });
 * console.log(from?.step, from?.state.seen); // 1 32
 * await again.close();
 *
 * const { path } = await writeReport("my-run"); // my-run/report.html
 */
export { listCheckpoints, type SavedCheckpoint } from "./checkpoints.ts";
export { RunError } from "./errors.ts";
export { checkPush, type Pushed, type PushOptions, pushToHub } from "./hub-push.ts";
export { lockFolder } from "./lock.ts";
export { makeFolder } from "./make-folder.ts";
export { type ModelCard, modelCard, writeModelCard } from "./model-card.ts";
export { type Report, type ReportOptions, writeReport } from "./report/report.ts";
export {
  type Fingerprint,
  type Metrics,
  openRun,
  type Resumed,
  type RunFolder,
  type RunFolderOptions,
  type RunModels,
  type Sample,
  type Snapshot,
} from "./run-folder.ts";
export { writeJson, writeWhole } from "./write-whole.ts";
