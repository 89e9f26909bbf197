/**
 * Optimisers, clipping and schedules over parameter trees.
 *
 * @example
 * import { adamw, matricesOnly, schedule } from "attune/optim";
 *
 * const optimizer = adamw({ weightDecay: 0.1, decays: matricesOnly });
 * const state = optimizer.init({ w: { dtype: "float32", shape: [4, 4] } }); // { step, m: { w }, v: { w } }
 * const rate = schedule("cosine", 1e-3, { totalSteps: 100, warmupSteps: 10 });
 * console.log(Object.keys(state), rate(5)); // half-way up: 0.0005
 */
export { type AdamOptions, adam, adamw, matricesOnly } from "./adamw.ts";
export { averageOf, withAverage } from "./average.ts";
export { clipByGlobalNorm, clipFactor, globalNorm } from "./clip.ts";
export { type LionOptions, lion, lionBetas } from "./lion.ts";
export {
  type LossScaleOptions,
  lossScaleMetrics,
  lossScaleOf,
  lossScaleStateOf,
  withLossScale,
} from "./loss-scale.ts";
export { branch, type Optimizer, type State, type Updated, type UpdateSettings } from "./optimizer.ts";
export { type Packing, packing } from "./pack.ts";
export { type ScheduleName, type ScheduleOptions, schedule, scheduleNames } from "./schedules.ts";
export { type SgdOptions, sgd } from "./sgd.ts";
