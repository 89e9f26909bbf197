/** Optimisers, clipping and schedules over parameter trees. */
export { type AdamOptions, adam, adamw, matricesOnly } from "./adamw.ts";
export { clipByGlobalNorm, clipFactor, globalNorm } from "./clip.ts";
export { branch, type Optimizer, type State, type Updated, type UpdateSettings } from "./optimizer.ts";
export { type ScheduleName, type ScheduleOptions, schedule, scheduleNames } from "./schedules.ts";
export { type SgdOptions, sgd } from "./sgd.ts";
export { type Packing, packing } from "./pack.ts";
