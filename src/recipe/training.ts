/** What every stage hands to its trainer: the options of its keys, the run's folder and engine, and how it reports. */
import type { TrainerHooks } from "../train/loop/trainer-options.ts";
import { optionsOf } from "./options.ts";
import type { StageContext, StageKeys, StageStart } from "./stage.ts";

/** Options that all trainers take, from the keys of a stage; model and data are the stage's own. */
export function trainingOptions(keys: StageKeys, context: StageContext) {
  const { dir, engine, resume, overwrite } = context;
  return {
    seed: context.seed,
    ...optionsOf(keys),
    ...(context.onMemory && { memoryCheck: context.onMemory }),
    outputDir: dir,
    engine,
    resume,
    overwrite,
  };
}

/** Hooks that tell the context; `startOf` says what the trainer's start means. */
export const trainingHooks = <Start>(
  context: StageContext,
  startOf: (start: Start) => StageStart,
): TrainerHooks<Start> => ({
  signal: context.signal,
  onStart: (start) => context.onStart(startOf(start)),
  onStep: context.onStep,
  onWarning: context.note,
});
