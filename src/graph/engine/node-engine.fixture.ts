/** What `call` runs inside the engine in tests. */
import { isMainThread } from "node:worker_threads";
import type { HostArray } from "../array.ts";
import { ShapeError } from "../errors.ts";
import type { Tree } from "../tree.ts";
import type { EngineTask, Executable, Resident } from "./engine.ts";

interface Loop {
  executable: Executable;
  state: Tree<Resident>;
  steps: number;
}

/** Runs a step many times beside the sessions; emits each loss, and stops when the signal says so. */
export const loop: EngineTask<Loop, { steps: number; inWorker: boolean }> = async (
  engine,
  { executable, state, steps },
  emit,
  signal,
) => {
  let step = 0;
  for (; step < steps; step++) {
    signal.throwIfAborted();
    const { total } = (await engine.run(executable, [state])) as unknown as { total: HostArray };
    emit({ step, total: total.data[0] });
  }
  return { steps: step, inWorker: !isMainThread };
};

class LoopError extends ShapeError {
  override name = "LoopError";
}

export const failing: EngineTask<undefined, never> = async () => {
  throw new LoopError("the loop fails", { cause: new RangeError("inner") });
};
